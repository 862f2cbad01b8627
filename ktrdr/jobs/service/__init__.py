"""What the log holds about the service itself: its settings, its tokens, its schedules.

Each of them is a *subject*, whose events stand in the log under an id such as `setting:caps` or `token:ci`, beside
those of the jobs and under the same tree. Imports the standard library only.
"""
