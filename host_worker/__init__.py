"""The host worker: trains jobs on another machine, or in another process, and talks to the API over HTTP only.

Imports `ktrdr.jobs`, `ktrdr.training`, the client's transport, and the parts of `ktrdr.worker` that both kinds of
worker share; never the database. The API decides where models live; this side only makes them.
"""
