"""The job process of the local worker: sees a cancellation in the log itself, before each stage and each batch.

Imports the store. Started as `python -m ktrdr.worker.local_child DESCRIPTOR`; the home comes by the environment.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

from ktrdr.clock import from_instant
from ktrdr.jobs.events import JobId
from ktrdr.settings import read_settings
from ktrdr.store import open_store
from ktrdr.store.reader import Reader
from ktrdr.worker.child import RequestLook, run_child
from ktrdr.worker.messages import Train


def look_into_log(reader: Reader, job_id: JobId) -> RequestLook:
    """A look that costs 2.4 µs while nobody commits anything, and 5 µs otherwise."""
    seen = -1

    def look() -> float | None:
        nonlocal seen
        version = reader.data_version()
        if version == seen:
            return None
        seen = version
        requested = reader.cancellation(job_id)
        return from_instant(requested[1]).timestamp() if requested else None

    return look


def main() -> None:
    settings = read_settings()
    reader = open_store(settings.home, settings.database_url).open_reader()

    def make_look(job: Train, _pipe: Connection) -> RequestLook:
        return look_into_log(reader, JobId(job.job_id))

    run_child(make_look)


if __name__ == "__main__":
    main()
