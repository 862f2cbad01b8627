"""Who may do what over HTTP: tokens and scopes, sessions of browsers, foreign pages, rates, and headers that protect.

`gate.py` is what every request passes. Imports starlette and the store; everything else of the API may import it.
"""
