"""The pure work: from a strategy file and price data to a saved model.

Nothing in this package knows of jobs, databases, HTTP or threads, and it imports nothing of ktrdr but itself.
Importing the package, or its strategy grammar, imports neither torch nor pandas.
"""
