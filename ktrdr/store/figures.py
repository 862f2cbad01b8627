"""Figures of the log and its projections for whoever watches the service: few queries, each on an index.

Imports jobs, sqlalchemy and the store's own parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Engine, case, func, select, text

from ktrdr.jobs.events import CancellationRequested, Instant, JobId, StageFinished
from ktrdr.store.reader import Reader
from ktrdr.store.schema import events, jobs, leases, log_checkpoints, workers

#: Events of which the figures need more than that they happened.
_TOLD_IN_FULL = (
    "JobClaimed", "JobRequeued", "StageFinished", "BatchProgressed", "EpochFinished", "JobCancelled", "JobFailed",
)  # fmt: skip


class Happened(NamedTuple):
    """An event as the figures need it."""

    position: int
    job_id: JobId
    version: int
    type: str
    at: Instant
    #: Canonical JSON; empty for events of which nothing more is needed, and for pruned ones.
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A job that a worker holds."""

    job_id: JobId
    status: str
    worker_kind: str
    claimed_at: Instant
    #: When its cancellation was requested; None if it was not.
    requested_at: Instant | None
    #: Of the epoch under way.
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The jobs as they were at a position of the log."""

    position: int
    #: Status → how many jobs have it.
    statuses: Mapping[str, int]
    held: Sequence[Held]


def newest_moment(engine: Engine) -> Moment:
    """The jobs as they are, all read at one moment. Goes through the index by status once."""
    running = jobs.c.status.in_(["running", "cancelling"])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN")
        try:
            position = connection.execute(select(func.coalesce(func.max(events.c.position), 0))).scalar_one()
            counts = connection.execute(select(jobs.c.status, func.count()).group_by(jobs.c.status)).fetchall()
            rows = connection.execute(
                select(
                    jobs.c.job_id, jobs.c.status,
                    *(func.json_extract(jobs.c.state, path) for path in ("$.worker_kind", "$.claimed_at", "$.batches")),
                    select(events.c.recorded_at)
                    .where(events.c.job_id == jobs.c.job_id, events.c.type == CancellationRequested.__name__)
                    .limit(1).scalar_subquery(),
                ).where(running)
            ).fetchall()  # fmt: skip
        finally:
            connection.exec_driver_sql("COMMIT")
    held = [
        Held(
            job_id=JobId(row[0]), status=row[1], worker_kind=row[2] or "unknown", claimed_at=Instant(row[3] or ""),
            batches=row[4] or 0, requested_at=row[5],
        )
        for row in rows
    ]  # fmt: skip
    return Moment(position=position, statuses={row[0]: row[1] for row in counts}, held=held)


def happened_after(reader: Reader, position: int, limit: int) -> list[Happened]:
    """A page of the log, oldest first."""
    data = case((events.c.type.in_(_TOLD_IN_FULL), events.c.data), else_="")
    columns = (events.c.position, events.c.job_id, events.c.version, events.c.type, events.c.recorded_at, data)
    rows = reader.rows(select(*columns).where(events.c.position > position).order_by(events.c.position).limit(limit))
    return [Happened(*row) for row in rows]


def submitted_at(reader: Reader, job_id: str) -> Instant:
    """When a job was submitted."""
    query = select(events.c.recorded_at).where(events.c.job_id == job_id, events.c.version == 1)
    return Instant(reader.rows(query)[0][0])


def stage_data(reader: Reader, job_id: str) -> list[str]:
    """What a job's stages found, as JSON texts, oldest first."""
    of_job = (events.c.job_id == job_id, events.c.type == StageFinished.__name__)
    return [row[0] for row in reader.rows(select(events.c.data).where(*of_job).order_by(events.c.version))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The jobs that wait for one class of workers (`auto`, `host+gpu`, …)."""

    waits_for: str
    jobs: int
    #: When the oldest of them was submitted.
    oldest: Instant


def queue(reader: Reader) -> list[Waiting]:
    """The queue by waiting class. Goes through the index of the queue once."""
    first = func.min(jobs.c.submitted_position)
    query = (
        select(jobs.c.waits_for, func.count(), first).where(jobs.c.waits_for.is_not(None)).group_by(jobs.c.waits_for)
    )
    found = reader.rows(query)
    return [Waiting(waits_for=row[0], jobs=row[1], oldest=_recorded_at(reader, row[2])) for row in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The workers of one kind in one state."""

    kind: str
    state: str
    workers: int
    slots: int
    #: Jobs that they hold.
    busy: int
    #: When the one that was not heard of for longest was heard of.
    heard_at: Instant


def crews(reader: Reader) -> list[Crew]:
    """The workers that were heard of lately, by kind and state."""
    held = select(func.count()).where(leases.c.worker == workers.c.name).correlate(workers).scalar_subquery()
    query = select(
        workers.c.kind, workers.c.state, func.count(), func.sum(workers.c.slots), func.sum(held),
        func.min(workers.c.last_seen),
    ).group_by(workers.c.kind, workers.c.state)  # fmt: skip
    return [
        Crew(kind=row[0], state=row[1], workers=row[2], slots=row[3], busy=row[4], heard_at=Instant(row[5]))
        for row in reader.rows(query)
    ]


def newest_signature(reader: Reader) -> tuple[int, Instant] | None:
    """The size of the newest signed checkpoint of the log, and when it was signed; None if nothing is signed yet."""
    query = select(log_checkpoints.c.size, log_checkpoints.c.signed_at).order_by(log_checkpoints.c.size.desc()).limit(1)
    rows = reader.rows(query)
    return (rows[0][0], Instant(rows[0][1])) if rows else None


def wal_frames(reader: Reader) -> tuple[int, int]:
    """Pages in the write-ahead log, and how many of these the database file has too.

    `NOOP` (SQLite 3.51) tells both without moving a page, so it may be asked at any time. Where the second number stays
    behind, somebody reads at an old moment of the database.
    """
    _, frames, moved = reader.rows(text("PRAGMA wal_checkpoint(NOOP)"))[0]
    return max(0, frames), max(0, moved)


def _recorded_at(reader: Reader, position: int) -> Instant:
    rows: Sequence[Any] = reader.rows(select(events.c.recorded_at).where(events.c.position == position))
    return Instant(rows[0][0])
