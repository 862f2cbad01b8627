"""The pure domain of jobs: what can happen, what that adds up to, and which commands are allowed.

Imports the standard library only. Time, storage and transport belong to the layers above.
"""
