"""Folding the log again and comparing with every projection; writing what differs. Imports jobs and the store.

Jobs are taken in groups, each in one short write transaction, so that the service may run meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from ktrdr.jobs.events import JobId, Recorded
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.service.subjects import KINDS, fold_subject, is_subject_id, no_subject
from ktrdr.jobs.state import fold, no_job
from ktrdr.store.database import begin_write
from ktrdr.store.doorbell import Doorbell
from ktrdr.store.projections import SNAPSHOT_VERSIONS, job_row, lease_row, snapshot_rows, subject_row, terms
from ktrdr.store.reader import StoredEvent
from ktrdr.store.schema import events, job_terms, jobs, leases, snapshots, subjects

GROUP = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A projection that does not say what the log says."""

    job_id: str
    #: `jobs`, `job_terms`, `leases`, `snapshots` or `subjects`.
    projection: str
    found: Any
    expected: Any

    def __str__(self) -> str:
        found, expected = _differing(self.found, self.expected)
        of = self.job_id if is_subject_id(self.job_id) else f"job {self.job_id}"
        return f"{self.projection} of {of}: found {found}, the log says {expected}"


def _differing(found: Any, expected: Any) -> tuple[Any, Any]:
    """The same without what is equal in both."""
    if not isinstance(found, dict) or not isinstance(expected, dict):
        return found, expected
    names = [name for name in found | expected if found.get(name) != expected.get(name)]
    parts = {name: _differing(found.get(name), expected.get(name)) for name in names}
    return {name: part[0] for name, part in parts.items()}, {name: part[1] for name, part in parts.items()}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    jobs: int
    events: int
    differences: tuple[Difference, ...]


def rebuild(
    engine: Engine, doorbell: Doorbell, *, repair: bool = True, progress: Callable[[int], None] | None = None
) -> Rebuilt:
    """Compares every projection with a fold from scratch and, with `repair`, writes what differs.

    `progress` is called with the number of jobs done.
    """
    differences: list[Difference] = []
    jobs_seen = events_seen = 0
    with engine.connect() as connection:
        # Jobs submitted from now on are not looked at: a busy service would otherwise keep this going for ever.
        after, last = 0, connection.scalar(select(func.max(events.c.position))) or 0
        while group := _submissions(connection, after, last):
            after = group[-1][0]
            begin_write(connection.connection.cursor())
            for _, job_id in group:
                history = _history(connection, job_id)
                events_seen += len(history)
                found = compare(connection, history)
                differences += found
                if found and repair:
                    _rewrite(connection, history)
                elif repair and len(_snapshots(connection, job_id)) < history[-1].version // SNAPSHOT_VERSIONS:
                    rewrite_snapshots(connection, history)
            connection.commit()
            jobs_seen += len(group)
            if progress:
                progress(jobs_seen)
        begin_write(connection.connection.cursor())
        differences += _rebuild_subjects(connection, repair=repair)
        differences += orphans(connection, repair=repair)
        connection.commit()
    doorbell.ring()
    return Rebuilt(jobs_seen, events_seen, tuple(differences))


def compare(connection: Connection, history: list[Recorded]) -> list[Difference]:
    """How the projections of one job differ from what its history says.

    That a snapshot is missing is no difference: it only makes the way to a state shorter, and `rebuild` makes it again.
    """
    first, state = history[0], fold(history)
    expected: dict[str, Any] = {
        "jobs": _plain(job_row(first, state)),
        "job_terms": sorted(terms(state)),
        "leases": _plain(lease_row(state)),
    }
    found: dict[str, Any] = {
        "jobs": _plain(_row(connection, jobs, state.job_id)),
        "job_terms": sorted(
            connection.scalars(select(job_terms.c.term).where(job_terms.c.submitted_position == first.position))
        ),
        "leases": _plain(_row(connection, leases, state.job_id), without=("renewals", "claim_id")),
    }
    if kept := _snapshots(connection, state.job_id):
        right = {row["position"]: _plain(row) for row in snapshot_rows(no_job(first.job_id), history)}
        wrong = {position: row for position, row in kept.items() if row != right.get(position)}
        found["snapshots"], expected["snapshots"] = wrong, {position: right.get(position) for position in wrong}
    return [
        Difference(state.job_id, name, found[name], expected[name])
        for name in expected
        if found[name] != expected[name]
    ]


def compare_subject(found: Mapping[str, Any] | None, subject: Subject) -> Difference | None:
    """How the row of a subject differs from what its events add up to."""
    row, expected = _plain(found), _plain(subject_row(subject))
    return None if row == expected else Difference(subject.id, "subjects", row, expected)


def _rebuild_subjects(connection: Connection, *, repair: bool) -> list[Difference]:
    differences = []
    for stream in _subject_ids(connection):
        subject = fold_subject(_history(connection, stream), no_subject(stream))
        row = connection.execute(select(subjects).where(subjects.c.id == stream)).mappings().first()
        difference = compare_subject(None if row is None else dict(row), subject)
        if difference:
            differences.append(difference)
            if repair:
                connection.execute(delete(subjects).where(subjects.c.id == stream))
                connection.execute(insert(subjects).values(subject_row(subject)))
    return differences


def _subject_ids(connection: Connection) -> list[JobId]:
    """Every id of a subject in the log; each kind is one stretch of the index, `;` being the character after `:`."""
    of_kinds = or_(*(events.c.job_id.between(f"{kind}:", f"{kind};") for kind in KINDS))
    return [
        JobId(stream) for stream in connection.scalars(select(events.c.job_id).where(events.c.version == 1, of_kinds))
    ]


def rewrite_snapshots(connection: Connection, history: list[Recorded]) -> None:
    """Makes the snapshots of one job again, from all that is recorded of it."""
    job_id = history[0].job_id
    connection.execute(delete(snapshots).where(snapshots.c.job_id == job_id))
    for row in snapshot_rows(no_job(job_id), history):
        connection.execute(insert(snapshots).values(row))


def _rewrite(connection: Connection, history: list[Recorded]) -> None:
    first, state = history[0], fold(history)
    lease = lease_row(state)
    kept = _row(connection, leases, state.job_id) or {}
    connection.execute(delete(leases).where(leases.c.job_id == state.job_id))
    connection.execute(delete(jobs).where(jobs.c.job_id == state.job_id))
    row = job_row(first, state)
    _make_way(connection, row)
    connection.execute(insert(jobs).values(row))
    connection.execute(delete(job_terms).where(job_terms.c.submitted_position == first.position))
    for term in terms(state):
        connection.execute(insert(job_terms).values(term=term, submitted_position=first.position))
    if lease:
        # Known to the lease alone; whatever renewals count from is a beginning.
        known = {"renewals": kept.get("renewals", 0), "claim_id": kept.get("claim_id")}
        connection.execute(insert(leases).values({**lease, **known}))
    rewrite_snapshots(connection, history)


def _make_way(connection: Connection, row: Mapping[str, Any]) -> None:
    """Takes what must be unique from rows that hold it wrongly; their own turn comes, or they belong to no job."""
    wrongly = jobs.c.submitted_position == row["submitted_position"]
    if row["idempotency_key"] is not None:
        wrongly |= jobs.c.idempotency_key == row["idempotency_key"]
    out_of_the_way = {"submitted_position": -jobs.c.submitted_position, "idempotency_key": None}
    connection.execute(update(jobs).where(wrongly).values(out_of_the_way))


def orphans(connection: Connection, *, repair: bool) -> list[Difference]:
    """Projection rows of jobs and subjects that the log does not know."""
    found = []
    name: ColumnElement[str]
    for table in (snapshots, leases, job_terms, jobs, subjects):  # a lease before the row of the job that it refers to
        if table is subjects:
            name, known = subjects.c.id, exists().where(events.c.job_id == subjects.c.id)
        elif table is job_terms:
            name = literal("submitted at ").concat(cast(job_terms.c.submitted_position, Text))
            known = exists().where(events.c.position == job_terms.c.submitted_position, events.c.version == 1)
        else:
            name, known = table.c.job_id, exists().where(events.c.job_id == table.c.job_id)
        found += [
            Difference(job, table.name, "a row", "nothing of that id")
            for job in connection.scalars(select(name).where(~known))
        ]
        if repair:
            connection.execute(delete(table).where(~known))
    return found


def _submissions(connection: Connection, after: int, last: int) -> list[tuple[int, JobId]]:
    query = select(events.c.position, events.c.job_id).where(
        events.c.version == 1,
        events.c.job_id.not_like("%:%"),
        events.c.position > after,
        events.c.position <= last,
    )
    rows = connection.execute(query.order_by(events.c.position).limit(GROUP)).fetchall()
    connection.commit()
    return [(row[0], JobId(row[1])) for row in rows]


def _history(connection: Connection, job_id: JobId) -> list[Recorded]:
    query = select(events).where(events.c.job_id == job_id).order_by(events.c.version)
    return [StoredEvent(**row).recorded for row in connection.execute(query).mappings()]


def _row(connection: Connection, table: Table, job_id: str) -> dict[str, Any] | None:
    row = connection.execute(select(table).where(table.c.job_id == job_id)).mappings().first()
    return dict(row) if row else None


def _snapshots(connection: Connection, job_id: str) -> dict[int, dict[str, Any] | None]:
    """The snapshots that are kept of a job, by position."""
    rows = connection.execute(select(snapshots).where(snapshots.c.job_id == job_id)).mappings()
    return {row["position"]: _plain(dict(row)) for row in rows}


def _plain(row: Mapping[str, Any] | None, *, without: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """A row as comparable data: the state as what its JSON says, whatever the order of its keys."""
    if row is None:
        return None
    return {name: _read(value) if name == "state" else value for name, value in row.items() if name not in without}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # damaged, so it differs from whatever is right
        return text
