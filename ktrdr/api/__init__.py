"""The HTTP surface: jobs, events, the worker protocol, strategies and price data under `/api/v1`.

Imports everything but the worker. One file per noun; `app.py` has the route table; `ktrdr.problems` every error.
Importing this package imports neither torch nor pandas: what needs them runs in a process of its own.
"""
