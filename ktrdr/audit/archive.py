"""The archive of jobs whose events were pruned: every leaf of the log that is theirs, whole, beside the database.

Imports jobs and the store. `home/archive/<job id>.jsonl.gz` holds one leaf a line, byte for byte what the log's tree is
over (`codec.entry_bytes`). Nothing in it has to be trusted: each line counts only if it has the leaf hash of its event.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ktrdr.files import write_whole
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import entry_hash
from ktrdr.jobs.events import JobId
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.store import Store
from ktrdr.store.reader import Reader, StoredEvent

_PAGE = 1000


class ArchiveError(Exception):
    """The archive of a job does not hold what the log says it must; the message says which and where."""


def full_history(store: Store, job_id: JobId) -> list[StoredEvent]:
    """The events of a job, oldest first, with the data that was pruned from the log taken from the archive.

    For whoever needs all that was ever recorded of a job: export, re-derivation, `jobs events --archived`. Where there
    is no archive, what was pruned stays empty. Raises UnknownJobError, and ArchiveError for an archive that is damaged.
    """
    reader = store.open_reader()
    try:
        history = stored_history(reader, job_id)
    finally:
        reader.close()
    if any(not event.data for event in history) and archive_of(store, job_id).exists():
        return read_archive(store, history)
    return history


def stored_history(reader: Reader, job_id: JobId) -> list[StoredEvent]:
    """The events of a job as the log has them, oldest first. Raises UnknownJobError."""
    history: list[StoredEvent] = []
    while page := reader.job_events(job_id, after=history[-1].position if history else 0, limit=_PAGE):
        history += page
    if not history:
        raise UnknownJobError(job_id)
    return history


def archive_of(store: Store, job_id: str) -> Path:
    """Where the archive of a job lies, if there is one. Raises ArchiveError for what is no id of a job."""
    if not is_job_id(job_id):  # it becomes part of a path
        raise ArchiveError(f"{job_id[:80]!r} is no id of a job, so it has no archive")
    return store.home / "archive" / f"{job_id}.jsonl.gz"


def write_archive(store: Store, history: Sequence[StoredEvent]) -> None:
    """Writes the archive of a job from all of its events, whole and synced. Raises OSError."""
    file = archive_of(store, history[0].job_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without the time in its header, an archive that is written again is the same.
    write_whole(file, gzip.compress(b"".join(event.entry + b"\n" for event in history), mtime=0))


def read_archive(store: Store, history: Sequence[StoredEvent]) -> list[StoredEvent]:
    """The events of a job with all of their data, from its archive; `history`: the same events as the log has them.

    Every line is checked against the leaf hash of its event. Raises ArchiveError.
    """
    job_id = history[0].job_id
    file = archive_of(store, job_id)
    try:
        lines = gzip.decompress(file.read_bytes()).split(b"\n")
    except FileNotFoundError:
        raise ArchiveError(f"the archive of job {job_id} is missing: {file}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ArchiveError(f"the archive of job {job_id} cannot be read: {file}: {error}") from None
    if len(lines) != len(history) + 1 or lines[-1]:
        raise ArchiveError(
            f"{file} holds {len(lines) - 1} whole lines, and job {job_id} has {len(history)} events: it was changed"
        )
    return [_filled(event, line, file) for event, line in zip(history, lines, strict=False)]


def _filled(event: StoredEvent, line: bytes, file: Path) -> StoredEvent:
    if entry_hash(line) != event.leaf_hash:
        raise ArchiveError(f"line {event.version} of {file} does not have the leaf hash of event {event.position}")
    # The hash says that the line is this event, so the data stands where an event without data would hold none.
    start = len(f'{{"actor":{dumps(event.actor)},"data":'.encode())
    end = len(line) - (len(replace(event, data="").entry) - start)
    return replace(event, data=line[start:end].decode())
