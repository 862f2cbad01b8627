"""One pass over the events of some jobs: folding them, looking at each event, and comparing with the projections.

Imports jobs and the store. Jobs are independent of each other, so a large log is folded in shares, one process each. A
job that has ended is kept as a few hashes only, so that memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from ktrdr.audit.checking.event_rules import broken_rules, comes_after_end
from ktrdr.audit.checking.findings import DAMAGE, Findings
from ktrdr.audit.checking.subject_fold import SubjectFold
from ktrdr.jobs.canonical import dumps, is_canonical
from ktrdr.jobs.codec import decode, from_values, leaf_hash, parse
from ktrdr.jobs.events import (
    CheckpointSaved,
    JobCompleted,
    JobEvent,
    JobId,
    JobSubmitted,
    Pruned,
    Recorded,
    ServiceEvent,
    TerminalEvent,
)
from ktrdr.jobs.service.subjects import is_subject_id
from ktrdr.jobs.state import JobState, evolve, no_job, state_data
from ktrdr.store.projections import SNAPSHOT_VERSIONS, job_row, lease_row, state_text, terms
from ktrdr.store.reader import StoredEvent
from ktrdr.store.rebuild import compare
from ktrdr.store.schema import events, job_terms, jobs, leases, snapshots
from ktrdr.store.statements import Prepared

#: So many events are told of at a time.
TOLD_EACH = 20_000
_JOB_COLUMNS = [column.name for column in jobs.columns]
_EVENT_COLUMNS = [
    events.c[name]
    for name in ("position", "job_id", "version", "type", "schema", "actor", "recorded_at", "leaf_hash", "data")
]


@dataclass(frozen=True, slots=True)
class Share:
    """Which jobs: of `count` shares, the one of this number, from 0."""

    number: int = 0
    count: int = 1

    def holds(self, job_id: ColumnElement[str]) -> ColumnElement[bool]:
        # The end of an id is random. Whatever it was damaged to, it is in one of the shares.
        last = func.coalesce(func.unicode(func.substr(job_id, -1)), 0)
        return last % literal_column(str(self.count)) == literal_column(str(self.number))


@dataclass(slots=True)
class Needed:
    """The files that jobs rest on: digest → which job needs it."""

    models: dict[str, str] = field(default_factory=dict)
    prices: dict[str, str] = field(default_factory=dict)
    checkpoints: dict[str, str] = field(default_factory=dict)

    def note(self, job_id: str, event: JobEvent | ServiceEvent | Pruned) -> None:
        if isinstance(event, CheckpointSaved):
            self.checkpoints.setdefault(event.digest, f"job {job_id}")
        elif isinstance(event, JobCompleted):
            self.models.setdefault(event.model_digest, f"job {job_id}")
        elif isinstance(event, JobSubmitted):
            for price in event.prices:
                self.prices.setdefault(price["digest"], f"job {job_id}")
            for series in event.context:
                self.prices.setdefault(series["digest"], f"job {job_id} (context series {series['name']})")

    def merge(self, other: Needed) -> None:
        self.models |= other.models
        self.prices |= other.prices
        self.checkpoints |= other.checkpoints


@dataclass(slots=True)
class Folded:
    """What a share adds up to."""

    events: int = 0
    jobs: int = 0
    #: Events whose data was pruned, so that their hash alone is left.
    pruned: int = 0
    findings: Findings = field(default_factory=Findings)
    needed: Needed = field(default_factory=Needed)
    #: The position of the first event of each job and subject, and the hash of its state, as of the size asked for.
    state_hashes: list[tuple[int, bytes]] = field(default_factory=list)

    def merge(self, other: Folded) -> None:
        self.events += other.events
        self.jobs += other.jobs
        self.pruned += other.pruned
        self.findings.merge(other.findings)
        self.needed.merge(other.needed)
        self.state_hashes += other.state_hashes


def state_hash(state: JobState) -> bytes:
    """SHA-256 over the canonical JSON of a state, without what is as in a job that does not exist (`state_data`)."""
    return sha256(dumps(state_data(state)).encode()).digest()


@dataclass(slots=True)
class _Job:
    """What is kept of a job while the log is read."""

    state: JobState
    #: The first event, until the job has ended.
    first: Recorded | None = None
    submitted: int = 0
    end: int = 0
    pruned_at: int = 0
    #: Whether all of its events could be read, so that its projections can be compared.
    is_whole: bool = True
    state_hash: bytes = b""
    row: bytes = b""
    terms: int = 0
    lease: Mapping[str, Any] | None = None


def fold_share(
    connection: Connection,
    share: Share,
    *,
    size: int,
    is_thorough: bool,
    progress: Callable[[int], None],
) -> Folded:
    """Folds the jobs of a share as of one moment and compares them with their projections, as of the same moment.

    `size`: up to which position the hashes of states count; the log may have grown since. With `is_thorough` each event
    is looked at too: its hash, its form, and what it may say after the one before it; without it the state hashes are
    given. `progress` is called with the number of events folded since the last call. Raises DBAPIError and the driver's
    errors if the database cannot be read any further.
    """
    return _Fold(share, size, is_thorough=is_thorough).run(connection, progress)


class _Fold:
    def __init__(self, share: Share, size: int, *, is_thorough: bool) -> None:
        self._share = share
        self._size = size
        self._is_thorough = is_thorough
        self._jobs: dict[str, _Job] = {}
        self._subjects = SubjectFold(size)
        self._snapshots: dict[tuple[str, int], bytes] = {}
        self._folded = Folded()

    def run(self, connection: Connection, progress: Callable[[int], None]) -> Folded:
        connection.exec_driver_sql("BEGIN")
        try:
            self._read(connection, progress)
            for job_id, job in self._jobs.items():
                self._settle(job_id, job)
            self._compare(connection)
        finally:
            connection.rollback()
        folded = self._folded
        folded.jobs = len(self._jobs)
        if not self._is_thorough:
            folded.state_hashes = [(job.submitted, job.state_hash) for job in self._jobs.values() if job.state_hash]
            folded.state_hashes += self._subjects.hashes()
        return folded

    def _read(self, connection: Connection, progress: Callable[[int], None]) -> None:
        query = select(*_EVENT_COLUMNS).order_by(events.c.position)
        if self._share.count > 1:
            query = query.where(self._share.holds(events.c.job_id))
        told = 0
        for row in _rows(connection, query):
            self._folded.events += 1
            try:
                self._take(row)
            except DAMAGE as error:
                if not is_subject_id(row[1]):
                    self._job(row[1]).is_whole = False
                self._folded.findings.add(f"{_place(row)} cannot be read: {error}", row[0])
            if self._folded.events - told == TOLD_EACH:
                progress(TOLD_EACH)
                told = self._folded.events
        progress(self._folded.events - told)

    def _job(self, job_id: str) -> _Job:
        job = self._jobs.get(job_id)
        if job is None:
            job = self._jobs[job_id] = _Job(no_job(JobId(job_id)))
        return job

    def _take(self, row: Any) -> None:
        position, job_id, version, event_type, schema, actor, at, leaf, data = row
        is_thorough = self._is_thorough
        if data == "":
            event: JobEvent | ServiceEvent | Pruned = decode(event_type, schema, data)
            self._folded.pruned += 1
        else:
            if is_thorough and leaf != leaf_hash(
                position=position,
                job_id=job_id,
                version=version,
                event_type=event_type,
                schema=schema,
                data=data,
                actor=actor,
                at=at,
            ):
                self._find(
                    position, event_type, job_id, "does not have the hash that was recorded with it: it was changed"
                )
            values = parse(data)
            if is_thorough and not is_canonical(data, values):
                self._find(position, event_type, job_id, "has data that is not canonical JSON")
            event = from_values(event_type, schema, values)
        recorded = Recorded(position=position, job_id=job_id, version=version, at=at, actor=actor, event=event)
        if is_subject_id(job_id):
            for broken in self._subjects.take(recorded):
                self._find(position, event_type, job_id, broken)
            return
        job = self._job(job_id)
        if data == "":
            job.pruned_at = position
        if job.end:
            if is_thorough:
                self._find(position, event_type, job_id, comes_after_end(job.end))
            job.is_whole = False
            return
        before = job.state
        if is_thorough:
            for broken in broken_rules(before, recorded):
                self._find(position, event_type, job_id, broken)
            self._folded.needed.note(job_id, event)
        if position > self._size and not job.state_hash and before.version:
            job.state_hash = state_hash(before)
        job.state = evolve(before, recorded)
        if job.first is None:
            job.first, job.submitted = recorded, position
        if version % SNAPSHOT_VERSIONS == 0:
            self._snapshots[job_id, position] = _print((version, state_text(job.state)))
        if isinstance(event, TerminalEvent):
            self._settle(job_id, job)
            job.end = position

    def _find(self, position: int, event_type: str, job_id: str, what: str) -> None:
        self._folded.findings.add(f"{_event(position, event_type, job_id)} {what}", position)

    def _settle(self, job_id: str, job: _Job) -> None:
        """Keeps of a job what its projections must be, and lets go of the rest."""
        if job.end:
            return
        if job.pruned_at and not job.state.status.is_final:
            self._folded.findings.add(
                f"event {job.pruned_at} of job {job_id} was emptied, but the job has not ended", job.pruned_at
            )
        try:
            if not job.first:
                return
            row = job_row(job.first, job.state)
            job.row = _print([row[name] for name in _JOB_COLUMNS])
            job.terms = sum(map(_term_print, terms(job.state)))
            job.lease = lease_row(job.state)
            if not job.state_hash and job.submitted <= self._size and not self._is_thorough:
                job.state_hash = state_hash(job.state)
        except DAMAGE as error:
            job.is_whole = False
            self._folded.findings.add(f"the events of job {job_id} add up to no state: {error}", job.submitted)
        job.first, job.state = None, no_job(JobId(job_id))

    def _compare(self, connection: Connection) -> None:
        """Finds the jobs whose projections differ, by their hashes; then, of those, what differs."""
        held = self._jobs.items()
        found_rows: dict[str, bytes] = {
            row[_JOB_COLUMNS.index("job_id")]: _print(row)
            for row in self._of_share(connection, select(jobs), jobs.c.job_id)
        }
        found_terms = dict.fromkeys((job.submitted for _, job in held), 0)
        for term, submitted in _rows(connection, select(job_terms.c.term, job_terms.c.submitted_position)):
            if submitted in found_terms:
                found_terms[submitted] += _term_print(term)
        of_lease = select(leases.c.job_id, leases.c.lease_epoch, leases.c.worker)
        found_leases = {row[0]: row for row in self._of_share(connection, of_lease, leases.c.job_id)}
        suspects = {
            job_id
            for job_id, job in held
            if found_rows.get(job_id) != job.row
            or found_terms[job.submitted] != job.terms
            or found_leases.get(job_id) != (tuple(job.lease.values()) if job.lease else None)
        }
        of_snapshot = select(snapshots.c.job_id, snapshots.c.position, snapshots.c.version, snapshots.c.state)
        for job_id, position, version, state in self._of_share(connection, of_snapshot, snapshots.c.job_id):
            if self._snapshots.get((job_id, position)) != _print((version, state)):
                suspects.add(job_id)
        for job_id in sorted(suspects, key=str):
            self._tell_differences(connection, job_id)
        self._folded.findings.add_all(map(str, self._subjects.differences(connection)))

    def _of_share(self, connection: Connection, query: Any, job_id: ColumnElement[str]) -> Iterator[Any]:
        return _rows(connection, query.where(self._share.holds(job_id)) if self._share.count > 1 else query)

    def _tell_differences(self, connection: Connection, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is None:
            return  # a projection of a job that the log does not know: found elsewhere, for all shares at once
        if self._folded.findings.is_full:
            self._folded.findings.left_out += 1
            return
        if not job.is_whole:
            self._folded.findings.add(f"the events of job {job_id} cannot be compared with its projections")
            return
        try:
            query = select(events).where(events.c.job_id == job_id).order_by(events.c.position)
            history = [StoredEvent(**row).recorded for row in connection.execute(query).mappings()]
            self._folded.findings.add_all(map(str, compare(connection, history)))
        except DAMAGE as error:
            self._folded.findings.add(f"the projections of job {job_id} cannot be read: {error}")


def _rows(connection: Connection, query: Any) -> Iterator[Any]:
    """The rows of a query as the driver gives them, without those of SQLAlchemy in between."""
    cursor: Any = connection.connection.cursor()
    rows: Iterator[Any] = Prepared(query, connection.dialect).run(cursor)
    return rows


def _print(values: Any) -> bytes:
    return sha256(repr(tuple(values)).encode(errors="surrogatepass")).digest()


def _term_print(term: str) -> int:
    """A number that sums of tell sets of terms apart by."""
    return int.from_bytes(sha256(str(term).encode(errors="surrogatepass")).digest())


def _event(position: object, event_type: object, job_id: object) -> str:
    return f"event {position} ({event_type} of {job_id if is_subject_id(job_id) else f'job {job_id}'})"


def _place(row: Any) -> str:
    return _event(row[0], row[3], row[1])
