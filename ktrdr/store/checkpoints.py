"""Which checkpoints are kept, and the removal of the others and of what dead attempts left. Imports jobs.

A checkpoint is an aid: a job that finds none begins at its start (but for a fork, which cannot begin without the one
that it goes on from). A job that has not ended keeps its newest ones, and one that failed or was cancelled its newest
one; those that `every_epochs` asked for stay for as long as the job, to fork from.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from ktrdr.jobs.events import CheckpointSaved, JobId
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.silence import Silence
from ktrdr.jobs.state import JobState, Status
from ktrdr.store import Store
from ktrdr.store.database import NotWrittenError
from ktrdr.store.log import Log, Transaction
from ktrdr.store.reader import Reader

logger = logging.getLogger(__name__)

#: A file that no event names may be about to be named, for so long.
UNNAMED_SECONDS = 3600.0
_PAGE = 1000


class Retention:
    """Removes what nobody needs any more, each time it is called. Belongs to one thread at a time."""

    def __init__(self, store: Store, log: Log, reader: Reader) -> None:
        self._store = store
        self._log = log
        self._reader = reader
        #: Position up to which the log is known.
        self._known_to = 0
        #: Digest → job and epoch, of the checkpoints that were here at the last look.
        self._saved: dict[str, tuple[JobId, int]] = {}
        self._unnamed: Silence[str] = Silence(UNNAMED_SECONDS)

    def __call__(self) -> None:
        try:
            self._remove_unneeded()
        except (NotWrittenError, OSError) as error:
            logger.warning("checkpoints that nobody needs were not removed: %s", error)

    def _remove_unneeded(self) -> None:
        self._learn()
        files = {file.stem: file for file in self._store.checkpoints.folder.iterdir()}
        self._saved = {digest: saved for digest, saved in self._saved.items() if digest in files}
        unneeded = files.keys() - self._needed() - self._young(files)
        if unneeded:
            self._log.write(lambda transaction: _remove(transaction, {digest: files[digest] for digest in unneeded}))
        _remove_dead_attempts(self._store.home / "attempts", self._reader)

    def _learn(self) -> None:
        """Reads what was saved since the last call; the first call reads the whole log."""
        end = self._reader.last_position()
        while page := self._reader.checkpoints_saved(after=self._known_to, limit=_PAGE):
            for stored in page:
                recorded = stored.recorded
                if isinstance(recorded.event, CheckpointSaved):
                    self._saved[recorded.event.digest] = (recorded.job_id, recorded.event.epoch)
            self._known_to = page[-1].position
        self._known_to = max(self._known_to, end)

    def _needed(self) -> set[str]:
        by_job: dict[JobId, dict[str, int]] = defaultdict(dict)
        for digest, (job_id, epoch) in self._saved.items():
            by_job[job_id][digest] = epoch
        return {
            digest
            for job_id, saved in by_job.items()
            for digest in needed(
                self._reader.job(job_id), self._reader.submission(job_id).checkpoints["every_epochs"], saved
            )
        }

    def _young(self, files: Mapping[str, Path]) -> set[str]:
        """Files that no event names yet: by the steady clock, because the wall's may be set forward."""
        unnamed = dict.fromkeys(files.keys() - self._saved.keys(), 0)
        return unnamed.keys() - set(self._unnamed.observe(unnamed, time.monotonic()))


def needed(job: JobState, every_epochs: int | None, saved: Mapping[str, int]) -> set[str]:
    """Which of the checkpoints that a job has saved (digest → epoch) are kept for its own sake."""
    asked_for = {digest for digest, epoch in saved.items() if every_epochs and epoch % every_epochs == 0}
    if not job.status.is_final:
        return asked_for | {one["digest"] for one in job.checkpoints}
    if job.status is Status.COMPLETED or not saved:
        return asked_for
    return asked_for | {max(saved, key=lambda digest: saved[digest])}


def _remove(transaction: Transaction, files: Mapping[str, Path]) -> None:
    """Removes checkpoints, but for those that an unfinished job begins with: no job can be submitted meanwhile."""
    kept = _begun_with(transaction)
    for digest, file in files.items():
        if digest not in kept:
            file.unlink(missing_ok=True)


def _begun_with(transaction: Transaction) -> Collection[str]:
    rows = transaction.statements.unfinished_children.run(transaction.cursor).fetchall()
    submissions = [json.loads(row[0]) for row in rows]
    origins = [submitted[name] for submitted in submissions for name in ("starts_from", "forked_from")]
    return {origin["digest"] for origin in origins if origin is not None}


def _remove_dead_attempts(folder: Path, reader: Reader) -> None:
    """Removes the folders of attempts that are over, which their workers could not remove any more."""
    # Listed first: an attempt whose folder is there has its claim in the log.
    for attempt in list(folder.iterdir()) if folder.exists() else []:
        job_id, _, lease_epoch = attempt.name.rpartition("-")
        if not _is_under_way(reader, JobId(job_id), lease_epoch):
            logger.info("removing %s, which a dead attempt left", attempt)
            shutil.rmtree(attempt, ignore_errors=True)


def _is_under_way(reader: Reader, job_id: JobId, lease_epoch: str) -> bool:
    try:
        job = reader.job(job_id)
    except UnknownJobError:
        return False
    return job.worker is not None and str(job.lease_epoch) == lease_epoch
