"""Folding the events of the service's subjects (settings, tokens, schedules), beside those of the jobs.

Imports jobs and the store. Subjects are few, so they are kept whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from sqlalchemy import Connection, select

from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import Recorded, ServiceEvent
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.service.subjects import evolve_subject, no_subject, subject_data
from ktrdr.store.rebuild import Difference, compare_subject
from ktrdr.store.schema import subjects


def subject_hash(subject: Subject) -> bytes:
    """SHA-256 over the canonical JSON of a subject, without what is as in one that does not exist."""
    return sha256(dumps(subject_data(subject)).encode()).digest()


class SubjectFold:
    """The subjects of a share of the log. `size`: up to which position their hashes count."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._now: dict[str, Subject] = {}
        self._at_size: dict[str, Subject] = {}
        self._first: dict[str, int] = {}

    def take(self, recorded: Recorded) -> Iterator[str]:
        """Folds one event in; what is wrong with it, as the end of a sentence that begins with it.

        Raises ValueError for a subject of a kind that this version does not know.
        """
        stream = recorded.job_id
        before = self._now.get(stream) or no_subject(stream)
        if recorded.version != before.version + 1:
            yield f"has version {recorded.version} of its subject, after version {before.version}"
        if not isinstance(recorded.event, ServiceEvent):
            yield "is an event of a job under the id of something else"
            return
        after = self._now[stream] = evolve_subject(before, recorded)
        self._first.setdefault(stream, recorded.position)
        if recorded.position <= self._size:
            self._at_size[stream] = after

    def hashes(self) -> Iterator[tuple[int, bytes]]:
        """The position of each subject's first event and its `subject_hash`, both as of the size."""
        return ((self._first[stream], subject_hash(subject)) for stream, subject in self._at_size.items())

    def differences(self, connection: Connection) -> Iterator[Difference]:
        """Where the row of a subject does not say what the log says."""
        found = {row["id"]: dict(row) for row in connection.execute(select(subjects)).mappings()}
        return filter(None, (compare_subject(found.get(one), self._now[one]) for one in sorted(self._now)))
