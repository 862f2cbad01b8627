"""Reading the history of one job for the audit. Imports jobs and the audit's archive."""

from __future__ import annotations

from ktrdr.audit.archive import full_history
from ktrdr.jobs.events import BatchProgressed, JobId, Recorded
from ktrdr.store import Store


def read_history(store: Store, job_id: JobId) -> list[Recorded]:
    """The events of a job, oldest first, without batch progress; what was pruned comes from the archive.

    What is not in the archive either is left out. Raises UnknownJobError, ArchiveError for an archive that is damaged,
    and ValueError for events of a newer version.
    """
    found = full_history(store, job_id)
    return [one.recorded for one in found if one.data and one.type != BatchProgressed.__name__]
