"""The local worker, and what both kinds of worker share: the warm job process and its messages.

`job_process`, `messages`, `child` and `reporting` import jobs and training only, because `host_worker` uses them too;
the rest imports the store.
"""
