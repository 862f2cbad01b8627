"""Reading the log and its projections: bounded pages, no transaction held between two of them.

Imports jobs and sqlalchemy. One reader belongs to one thread.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Select, TextClause, and_, func, select

from ktrdr.jobs.codec import decode, entry_bytes
from ktrdr.jobs.events import CheckpointSaved, Instant, JobId, JobSubmitted, Position, Recorded, Target
from ktrdr.jobs.queue import Rules
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.state import JobState, fold, no_job, state_from_data
from ktrdr.jobs.workers import Present, WorkerState
from ktrdr.store.projections import SNAPSHOT_VERSIONS, terms_of
from ktrdr.store.queue import find_next, why_waiting
from ktrdr.store.schema import datasets, events, job_terms, jobs, leases, strategies, workers
from ktrdr.store.service_settings import StoredSetting, default_target_of, read_settings, rules_of
from ktrdr.store.statements import Statements
from ktrdr.store.subjects import SubjectType, all_subjects, find_subject, newest_of
from ktrdr.store.workers import KnownWorker, read_present, takes_jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One row of the log as it is stored; `recorded` decodes it."""

    position: int
    job_id: str
    version: int
    type: str
    schema: int
    data: str
    actor: str
    recorded_at: str
    leaf_hash: bytes

    @property
    def recorded(self) -> Recorded:
        return Recorded(
            position=Position(self.position),
            job_id=JobId(self.job_id),
            version=self.version,
            at=Instant(self.recorded_at),
            actor=self.actor,
            event=decode(self.type, self.schema, self.data),
        )

    @property
    def entry(self) -> bytes:
        """What the leaf hash is over; of a pruned event it is gone."""
        return entry_bytes(
            position=self.position, job_id=self.job_id, version=self.version, event_type=self.type,
            schema=self.schema, data=self.data, actor=self.actor, at=self.recorded_at,
        )  # fmt: skip


#: The columns of `events`, in the order of `Statements.events_between`.
_STORED = tuple(column.name for column in events.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list holds; an empty field does not restrict."""

    statuses: Sequence[str] = ()
    name: str | None = None
    symbol: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    submitted_from: Instant | None = None
    submitted_until: Instant | None = None


#: The kinds of datasets: prices of a symbol, and values of a context series.
PRICES, VALUES = "prices", "values"
#: (kind, symbol, timeframe) → the digest of the data that they mean.
Digests = Mapping[tuple[str, str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a symbol and timeframe mean today."""

    kind: str
    #: Of values: the name of the series.
    symbol: str
    #: Of values: their frequency.
    timeframe: str
    digest: str
    rows: int
    first: str
    last: str
    imported_at: str


class Reader:
    """A reading connection to the store."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._cursor: Any = self._connection.connection.cursor()
        self._statements = Statements(engine.dialect)

    def last_position(self) -> int:
        """The position of the newest event; 0 in an empty log."""
        return int(self._statements.last_position.run(self._cursor).fetchone()[0])

    def position_at(self, instant: Instant, *, after: bool = False) -> int:
        """The first position recorded at an instant or later (with `after`: later); one more than the last if none was.

        Times never fall along the log, so that a binary search finds it: no index by time is kept.
        """
        bisect_times = bisect_right if after else bisect_left
        return 1 + bisect_times(range(1, self.last_position() + 1), instant, key=self._recorded_at)

    def _recorded_at(self, position: int) -> Instant:
        return Instant(self._statements.recorded_at.run(self._cursor, position=position).fetchone()[0])

    def data_version(self) -> int:
        """A number that differs whenever another connection has committed since the last call."""
        return int(self._cursor.execute("PRAGMA data_version").fetchone()[0])

    def cancellation(self, job_id: JobId) -> tuple[int, Instant] | None:
        """Version and time of the newest cancellation request for a job, if there is one."""
        row = self._statements.cancellation.run(self._cursor, job_id=job_id).fetchone()
        return (row[0], Instant(row[1])) if row else None

    def has_job_for(self, kind: str, *, has_gpu: bool) -> bool:
        """Whether a worker of this kind would get a job now: a look before the write lock is taken to claim it."""
        return find_next(self._cursor, self._statements, kind, has_gpu=has_gpu) is not None

    def has_claim(self, claim_id: str) -> bool:
        """Whether the request of this name was given a lease that is held still."""
        return self._statements.job_of_claim.run(self._cursor, claim_id=claim_id).fetchone() is not None

    def takes_jobs(self, worker: str) -> bool:
        """Whether a worker has not said that it is about to stop."""
        return takes_jobs(self._cursor, self._statements, worker)

    def renewals(self) -> dict[tuple[JobId, int], int]:
        """How often each lease was renewed, by job and lease epoch."""
        return {(JobId(row[0]), row[1]): row[2] for row in self._statements.renewals.run(self._cursor)}

    def beats(self) -> dict[str, int]:
        """How often each worker that counts as living was heard of."""
        return dict(self._statements.beats.run(self._cursor).fetchall())

    def departed_beats(self) -> dict[str, int]:
        """How often each worker was heard of that said goodbye or was lost."""
        return dict(self._statements.departed_beats.run(self._cursor).fetchall())

    def subjects(self, subject: type[SubjectType]) -> list[SubjectType]:
        """Every setting, token or schedule, by name."""
        return all_subjects(self._cursor, self._statements, subject)

    def subject(self, subject: type[SubjectType], name: str) -> SubjectType:
        """One of them; version 0 if there is none. Raises ValueError for a name that cannot be one."""
        return find_subject(self._cursor, self._statements, subject, name)

    def newest_of(self, subject: type[Subject]) -> int:
        """The position of the newest event about any subject of a kind; 0 if there is none."""
        return newest_of(self._cursor, self._statements, subject)

    def settings(self) -> dict[str, StoredSetting]:
        """What the operator has set, and who did when."""
        return read_settings(self._cursor, self._statements)

    def default_target(self) -> Target | None:
        """Where jobs go that do not say, if the operator has set it."""
        return default_target_of(self.settings())

    def rules(self) -> Rules:
        """Fairness and caps as they are set now."""
        return rules_of(self.settings())

    def workers(self) -> list[KnownWorker]:
        """Every worker that was heard of lately, by kind and name."""
        columns = [workers.c[field] for field in KnownWorker.__slots__]
        rows = self.rows(select(*columns).order_by(workers.c.kind, workers.c.name))
        return [
            KnownWorker(
                **dict(row._mapping) | {"state": WorkerState(row.state), "capabilities": json.loads(row.capabilities)}
            )
            for row in rows
        ]

    def present_workers(self) -> list[Present]:
        """The workers that take jobs or are about to."""
        return read_present(self._cursor, self._statements)

    def running_jobs(self) -> list[JobState]:
        """The jobs that workers hold, the oldest claim first."""
        held = select(jobs.c.state).join(leases, leases.c.job_id == jobs.c.job_id)
        states = [state_from_data(json.loads(row[0])) for row in self.rows(held)]
        return sorted(states, key=lambda state: state.claimed_at or "")

    def why_waiting(self, job: JobState) -> str | None:
        """Why a job is in the queue still, in words; None for one that is not there."""
        return why_waiting(self._cursor, self._statements, job)

    def waiting_positions(self, waits_for: str) -> list[int]:
        """Where the jobs that wait for one kind of worker were submitted."""
        return [row[0] for row in self._statements.waiting_positions.run(self._cursor, waits_for=waits_for)]

    def job(self, job_id: JobId) -> JobState:
        """The job as it stands. Raises UnknownJobError."""
        row = self._statements.job_state.run(self._cursor, job_id=job_id).fetchone()
        if row is None:
            raise UnknownJobError(job_id)
        return state_from_data(json.loads(row[0]))

    def state_at(self, job_id: JobId, position: int) -> JobState:
        """The job from its events up to a position, whatever its row says; version 0 if it was submitted later."""
        kept = self._statements.snapshot_at.run(self._cursor, job_id=job_id, position=position).fetchone()
        state = state_from_data(json.loads(kept[0])) if kept else no_job(job_id)
        while True:
            between = {"after": state.version, "until": state.version + SNAPSHOT_VERSIONS, "position": position}
            rows = self._statements.events_between.run(self._cursor, job_id=job_id, **between).fetchall()
            state = fold((StoredEvent(**dict(zip(_STORED, row, strict=True))).recorded for row in rows), state)
            if len(rows) < SNAPSHOT_VERSIONS:
                return state

    def submission(self, job_id: JobId) -> JobSubmitted:
        """The event that began a job. Raises UnknownJobError."""
        history = self.job_events(job_id, limit=1)
        if not history or not isinstance(submitted := history[0].recorded.event, JobSubmitted):
            raise UnknownJobError(job_id)
        return submitted

    def saved_checkpoints(self, job_id: JobId) -> list[CheckpointSaved]:
        """Every checkpoint that a job has saved, oldest first, whether its file is still there or not."""
        query = select(events).where(events.c.job_id == job_id, events.c.type == CheckpointSaved.__name__)
        rows = self.rows(query.order_by(events.c.version))
        found = (StoredEvent(**row._mapping).recorded.event for row in rows)
        return [event for event in found if isinstance(event, CheckpointSaved)]

    def checkpoints_saved(self, *, after: int, limit: int) -> list[StoredEvent]:
        """A page of the CheckpointSaved events of all jobs after a position, oldest first."""
        query = select(events).where(events.c.type == CheckpointSaved.__name__, events.c.position > after)
        return self._events(query.order_by(events.c.position), limit)

    def jobs(self, wanted: JobFilter, *, before: int | None = None, limit: int) -> list[tuple[int, JobState]]:
        """A page of jobs with the positions of their submissions, newest first, submitted before position `before`."""
        query: Select[Any] = select(jobs.c.submitted_position, jobs.c.state)
        if wanted.statuses:
            query = query.where(jobs.c.status.in_(wanted.statuses))
        rows = self.rows(self.matching(query, wanted, before=before).limit(limit))
        return [(row[0], state_from_data(json.loads(row[1]))) for row in rows]

    def matching(self, query: Select[Any], wanted: JobFilter, *, before: int | None = None) -> Select[Any]:
        """A query of `jobs` for those that are wanted, newest first, by what they were submitted with."""
        symbols = [wanted.symbol] if wanted.symbol else []
        place = jobs.c.submitted_position
        for number, term in enumerate(terms_of(wanted.name, symbols, wanted.labels)):
            found = job_terms.alias(f"term_{number}")
            if number == 0 and not wanted.statuses:
                # SQLite does not see that this is the same order, and would sort every job that has the term.
                place = found.c.submitted_position
            query = query.join(
                found, and_(found.c.submitted_position == jobs.c.submitted_position, found.c.term == term)
            )
        if wanted.submitted_from:
            query = query.where(place >= self.position_at(wanted.submitted_from))
        if wanted.submitted_until:
            query = query.where(place < self.position_at(wanted.submitted_until, after=True))
        if before is not None:
            query = query.where(place < before)
        return query.order_by(place.desc())

    def status_counts(self) -> dict[str, int]:
        """How many jobs there are in each status."""
        rows = self.rows(select(jobs.c.status, func.count()).group_by(jobs.c.status))
        return {row[0]: row[1] for row in rows}

    def job_events(self, job_id: JobId, *, after: int = 0, limit: int) -> list[StoredEvent]:
        """A page of one job's events after a position, oldest first."""
        return self._events(
            select(events).where(events.c.job_id == job_id, events.c.position > after).order_by(events.c.version), limit
        )

    def events(self, *, after: int = 0, limit: int) -> list[StoredEvent]:
        """A page of the whole log after a position, oldest first."""
        return self._events(select(events).where(events.c.position > after).order_by(events.c.position), limit)

    def all_events(self, *, page: int = 1000) -> Iterator[StoredEvent]:
        """The whole log, oldest event first, read page by page so that no snapshot is held."""
        after = 0
        while found := self.events(after=after, limit=page):
            yield from found
            after = found[-1].position

    def datasets(self) -> list[Dataset]:
        query = select(datasets).order_by(datasets.c.kind, datasets.c.symbol, datasets.c.timeframe)
        return [Dataset(**row._mapping) for row in self.rows(query)]

    def digests(self, symbols: Collection[str]) -> Digests:
        """What the symbols (and names of value series) mean today, on whatever timeframe."""
        values = {f"symbol_{number}": symbol for number, symbol in enumerate(symbols)}
        rows = self._statements.digests_of(len(values)).run_with(self._cursor, values).fetchall()
        return {row[:3]: row[3] for row in rows}

    def strategy_names(self) -> list[str]:
        return [row[0] for row in self.rows(select(strategies.c.name).order_by(strategies.c.name))]

    def strategy_source(self, name: str) -> str | None:
        """The text of a stored strategy file."""
        row = self._statements.strategy.run(self._cursor, name=name).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        self._connection.close()

    def _events(self, query: Select[Any], limit: int) -> list[StoredEvent]:
        return [StoredEvent(**row._mapping) for row in self.rows(query.limit(limit))]

    def rows(self, query: Select[Any] | TextClause) -> Sequence[Any]:
        """What a query gives, whole, so that no transaction is held."""
        return self._connection.execute(query).fetchall()
