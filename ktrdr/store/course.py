"""The course of one job for a page that shows it: the events that shape it, pages of all of them, and its losses.

Imports the store's reader.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from ktrdr.jobs.events import BatchProgressed, EpochFinished, JobId
from ktrdr.jobs.state import JobState, state_from_data
from ktrdr.store.reader import JobFilter, Reader, StoredEvent
from ktrdr.store.schema import events, jobs


def course_of(reader: Reader, job_id: JobId, *, until: int) -> list[StoredEvent]:
    """The events of a job up to a position, oldest first, without how far each batch was: those are most of them."""
    query = select(events).where(events.c.job_id == job_id, events.c.position <= until)
    query = query.where(events.c.type != BatchProgressed.__name__)
    return _stored(reader, query.order_by(events.c.version))


def newest_events(
    reader: Reader, job_id: JobId, *, until: int, before: int | None = None, types: Sequence[str] = (), limit: int
) -> list[StoredEvent]:
    """A page of a job's events up to a position, newest first, of some types, before a version."""
    query = select(events).where(events.c.job_id == job_id, events.c.position <= until)
    if before is not None:
        query = query.where(events.c.version < before)
    if types:
        query = query.where(events.c.type.in_(types))
    return _stored(reader, query.order_by(events.c.version.desc()).limit(limit))


def counts_by_type(reader: Reader, job_id: JobId, *, until: int) -> dict[str, int]:
    """How many events of each type a job has up to a position, the first type first."""
    query = select(events.c.type, func.count()).where(events.c.job_id == job_id, events.c.position <= until)
    return {row[0]: row[1] for row in reader.rows(query.group_by(events.c.type).order_by(func.min(events.c.version)))}


def positions_of(reader: Reader, job_id: JobId) -> list[int]:
    """The positions of a job's events, oldest first: every moment at which it changed."""
    query = select(events.c.position).where(events.c.job_id == job_id).order_by(events.c.version)
    return [row[0] for row in reader.rows(query)]


def validation_losses(reader: Reader, job_id: JobId, *, after: int = 0) -> list[tuple[int, int, float]]:
    """Version, epoch and validation loss of the epochs of a job that are recorded after a version and not pruned."""
    fields = [func.json_extract(events.c.data, f"$.{name}") for name in ("epoch", "validation_loss")]
    query = select(events.c.version, *fields).where(events.c.job_id == job_id, events.c.version > after)
    query = query.where(events.c.type == EpochFinished.__name__, events.c.data != "").order_by(events.c.version)
    return [(row[0], row[1], row[2]) for row in reader.rows(query)]


def children_of(reader: Reader, job: JobState, *, limit: int) -> list[JobState]:
    """The newest jobs that were made of a job, of the same strategy: retries, forks and counterfactuals."""
    is_child = jobs.c.state.contains(f'"parent":"{job.job_id}"', autoescape=True)
    query = reader.matching(select(jobs.c.state).where(is_child), JobFilter(name=job.name)).limit(limit)
    return [state_from_data(json.loads(row[0])) for row in reader.rows(query)]


def _stored(reader: Reader, query: Select[Any]) -> list[StoredEvent]:
    return [StoredEvent(**row._mapping) for row in reader.rows(query)]
