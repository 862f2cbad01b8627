"""Jobs as they were: the state of one, the list of all, and what changed, as of any position of the log.

Imports jobs and the store's reader. What it reads depends on how much was going on at that moment, not on the length of
the log: the row of a job is right for every position since its newest event; only the jobs that went on since then are
folded, each from its newest snapshot before the moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, case, func, select, text

from ktrdr.jobs.events import JobId
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.state import JobState, Status, state_from_data
from ktrdr.store.reader import JobFilter, Reader
from ktrdr.store.schema import events, jobs

#: Jobs are looked at in groups, so that a full page ends the search.
_GROUP = 500


def _quoted(*, is_final: bool) -> str:
    return ", ".join(f"'{status}'" for status in Status if status.is_final is is_final)


@dataclass(frozen=True, slots=True)
class JobChange:
    """One job at two moments."""

    submitted_position: int
    #: None if it was submitted in between.
    before: JobState | None
    after: JobState


def job_as_of(reader: Reader, job_id: JobId, position: int) -> JobState | None:
    """The state of a job after the event at `position`; None if it was submitted later.

    Raises UnknownJobError for a job that was never submitted.
    """
    columns = (jobs.c.submitted_position, _state_from(position))
    rows = reader.rows(select(*columns).where(jobs.c.job_id == job_id))
    if not rows:
        raise UnknownJobError(job_id)
    submitted_position, row_state = rows[0]
    return _state(reader, job_id, position, row_state) if submitted_position <= position else None


def jobs_as_of(
    reader: Reader, position: int, wanted: JobFilter, *, before: int | None = None, limit: int
) -> list[tuple[int, JobState]]:
    """What `Reader.jobs` would have given when the event at `position` was the newest."""
    query: Select[Any] = select(jobs.c.submitted_position, jobs.c.job_id, _state_from(position))
    query = query.where(jobs.c.submitted_position <= position)
    if wanted.statuses:
        query = query.where(jobs.c.position <= position, jobs.c.status.in_(wanted.statuses))
    found: dict[int, JobState] = {
        submitted_position: _state(reader, job_id, position, row_state)
        for submitted_position, job_id, row_state in reader.rows(
            reader.matching(query, wanted, before=before).limit(limit)
        )
    }
    if any(not Status(status).is_final for status in wanted.statuses):  # a job that went on had not ended
        oldest = min(found) if len(found) == limit else 0
        found.update(islice(_open_at(reader, position, wanted, after=oldest, before=before), limit))
    return sorted(found.items(), reverse=True)[:limit]


def changed_jobs(reader: Reader, first: int, last: int, *, before: int | None = None, limit: int) -> list[JobChange]:
    """The jobs that are not the same after the events at `first` and at `last`, newest first.

    A page of them, submitted before position `before`.
    """
    return list(islice(_changes(reader, first, last, before), limit))


def _changes(reader: Reader, first: int, last: int, before: int | None) -> Iterator[JobChange]:
    changed = select(jobs.c.submitted_position, jobs.c.job_id, _state_from(last)).where(
        _next_event(first, events.c.position) <= last
    )
    query = reader.matching(changed, JobFilter(), before=before)
    places = _went_on(reader, since=first, submitted_until=last)
    for submitted_position, job_id, row_state in _among(reader, query, places):
        was_there = submitted_position <= first
        yield JobChange(
            submitted_position,
            before=reader.state_at(job_id, first) if was_there else None,
            after=_state(reader, job_id, last, row_state),
        )


def _open_at(
    reader: Reader, position: int, wanted: JobFilter, *, after: int, before: int | None
) -> Iterator[tuple[int, JobState]]:
    """The jobs that went on after `position` and are wanted as they were then, newest first.

    Only those submitted after `after` and before `before`.
    """
    query = reader.matching(select(jobs.c.submitted_position, jobs.c.job_id), wanted, before=before)
    if Status.QUEUED not in wanted.statuses:
        # Of a long queue most jobs have nothing but their submission: no need to look closer.
        query = query.where(_next_event(position, events.c.version) > 2)
    places = [place for place in _went_on(reader, since=position, submitted_until=position) if place > after]
    for submitted_position, job_id in _among(reader, query, places):
        state = reader.state_at(job_id, position)
        if state.status in wanted.statuses:
            yield submitted_position, state


#: Where the jobs that went on after a position were submitted. INDEXED BY, because SQLite would rather go by status and
#: look at the row of every job that has ever ended; in this index those that ended since are found by themselves.
_WENT_ON = text(
    f"""
    SELECT submitted_position FROM jobs INDEXED BY jobs_ended
    WHERE status IN ({_quoted(is_final=True)}) AND position > :since AND submitted_position <= :until
    UNION ALL
    SELECT submitted_position FROM jobs
    WHERE status IN ({_quoted(is_final=False)}) AND position > :since AND submitted_position <= :until
    """
)


def _went_on(reader: Reader, *, since: int, submitted_until: int) -> list[int]:
    """Where the jobs were submitted, up to a position, that have events after another; newest first."""
    rows = reader.rows(_WENT_ON.bindparams(since=since, until=submitted_until))
    return sorted((row[0] for row in rows), reverse=True)


def _among(reader: Reader, query: Select[Any], places: Sequence[int]) -> Iterator[Any]:
    """The rows of a query of `jobs` that were submitted at certain places, newest first, found when asked for."""
    # One parameter for a whole group: a list of them takes SQLAlchemy longer than the rows take SQLite.
    given: BindParameter[str] = bindparam("group")
    query = query.where(jobs.c.submitted_position.in_(select(func.json_each(given).table_valued("value").c.value)))
    for start in range(0, len(places), _GROUP):
        yield from reader.rows(query.params(group=json.dumps(places[start : start + _GROUP])))


def _state_from(position: int) -> ColumnElement[str | None]:
    """The state in the row of a job; NULL if the job has gone on since the position."""
    return case((jobs.c.position <= position, jobs.c.state))


def _state(reader: Reader, job_id: JobId, position: int, row_state: str | None) -> JobState:
    return reader.state_at(job_id, position) if row_state is None else state_from_data(json.loads(row_state))


def _next_event(position: int, column: ColumnElement[int]) -> ColumnElement[int]:
    """A column of a job's first event after a position, for a query of `jobs`."""
    following = select(column).where(events.c.job_id == jobs.c.job_id, events.c.position > position)
    return following.order_by(events.c.version).limit(1).scalar_subquery()
