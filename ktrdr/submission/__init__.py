"""What every way to submit a job has in common: over HTTP, from the dashboard, by a schedule.

Imports the grammar, jobs and the store.
"""
