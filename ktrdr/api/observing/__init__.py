"""What the API tells of the service while it runs: figures for Prometheus, lines and spans of requests.

`durations`, `families` and `job_figures` import the standard library, jobs and the store; only `exposition` imports
prometheus-client.
"""
