"""The strategy file, version 3: from text to an immutable `Strategy`, and back to plain data.

Start at `parse.py`. Imports the faults and the indicator registry; neither torch nor pandas.
"""
