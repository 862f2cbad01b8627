"""Verifying the whole log, event by event, and everything that has to agree with it. Imports jobs and the store.

Changes nothing, holds no lock and reads page by page, so it may run beside the service. It trusts nothing that the
database promises: what a trigger refuses is checked again, because whoever tampers drops the triggers first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import TERMINAL_TYPES, leaf_hash
from ktrdr.store import Store
from ktrdr.store.reader import StoredEvent
from ktrdr.store.rebuild import compare
from ktrdr.store.schema import datasets, events, jobs
from ktrdr.training.model_directory import SUMS, SavedModelError, read_directory

PAGE = 1000
#: Damage in one place shows in many; more than this helps nobody.
MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, and what is wrong with it."""

    events: int
    jobs: int
    models: int
    prices: int
    #: One sentence each, with the place in it.
    findings: tuple[str, ...]
    #: Findings beyond `MOST_FINDINGS`.
    left_out: int

    @property
    def is_sound(self) -> bool:
        return not self.findings

    @property
    def sentence(self) -> str:
        looked_at = (
            f"{_count(self.events, 'event')} of {_count(self.jobs, 'job')}, "
            f"{_count(self.models, 'model')} and {_count(self.prices, 'price file')}"
        )
        if self.is_sound:
            return f"sound: {looked_at} verified, nothing is missing or changed"
        return f"not sound: {_count(len(self.findings) + self.left_out, 'finding')} in {looked_at}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


@dataclass(slots=True)
class _Scan:
    """What the scan of the log has seen so far."""

    findings: list[str] = field(default_factory=list)
    events: int = 0
    position: int = 0
    recorded_at: str = ""
    #: Job → its newest version.
    versions: dict[str, int] = field(default_factory=dict)
    #: Jobs that have ended → the position of the end.
    ends: dict[str, int] = field(default_factory=dict)
    #: Digest → who needs it.
    models: dict[str, str] = field(default_factory=dict)
    prices: dict[str, str] = field(default_factory=dict)
    checkpoints: dict[str, str] = field(default_factory=dict)


def verify(store: Store, progress: Callable[[int], None] | None = None) -> Verdict:
    """Looks at every event, every projection and every file that a job or a dataset needs.

    `progress` is called with the number of events scanned.
    """
    scan = _Scan()
    try:
        with store.engine.connect() as connection:
            scan.findings += _check_database(connection)
            for page in _pages(connection):
                for event in page:
                    scan.findings += _check_event(scan, event)
                if progress:
                    progress(scan.events)
            scan.findings += _check_projections(connection, scan)
            for dataset in connection.execute(select(datasets)).mappings():
                scan.prices.setdefault(dataset["digest"], f"dataset {dataset['symbol']} {dataset['timeframe']}")
    except DBAPIError as error:
        scan.findings.append(f"the database cannot be read any further: {error.orig}")
    for digest, needed_by in scan.models.items():
        scan.findings += _check_model(store, digest, needed_by)
    for digest, needed_by in scan.prices.items():
        scan.findings += _check_prices(store, digest, needed_by)
    for digest, saved_by in scan.checkpoints.items():
        scan.findings += _check_checkpoint(store, digest, saved_by)
    return Verdict(
        events=scan.events,
        jobs=len(scan.versions),
        models=len(scan.models),
        prices=len(scan.prices),
        findings=tuple(scan.findings[:MOST_FINDINGS]),
        left_out=max(0, len(scan.findings) - MOST_FINDINGS),
    )


def _check_database(connection: Connection) -> Iterator[str]:
    """What SQLite finds wrong with its own file: pages, indexes, constraints."""
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check(10)"):
        if said != "ok":
            yield f"the database file is damaged: {said}"


def _pages(connection: Connection) -> Iterator[list[StoredEvent]]:
    after = 0
    while True:
        query = select(events).where(events.c.position > after).order_by(events.c.position).limit(PAGE)
        page = [StoredEvent(**row) for row in connection.execute(query).mappings()]
        if not page:
            return
        yield page
        after = page[-1].position


def _check_event(scan: _Scan, event: StoredEvent) -> Iterator[str]:
    where = f"event {event.position} ({event.type} of job {event.job_id})"
    if event.position != scan.position + 1:
        yield f"{_missing(scan.position + 1, event.position - 1)} before {where}"
    version = scan.versions.get(event.job_id, 0)
    if event.version != version + 1:
        yield f"{where} has version {event.version} of its job, after version {version}"
    if event.job_id in scan.ends:
        yield f"{where} comes after the end of its job at position {scan.ends[event.job_id]}"
    if event.recorded_at < scan.recorded_at:
        yield f"{where} was recorded at {event.recorded_at}, before the event that it follows ({scan.recorded_at})"
    if leaf_hash(
        position=event.position,
        job_id=event.job_id,
        version=event.version,
        event_type=event.type,
        schema=event.schema,
        data=event.data,
        actor=event.actor,
        at=event.recorded_at,
    ) != event.leaf_hash:  # fmt: skip
        yield f"{where} does not have the hash that was recorded with it: it was changed"
    data = _canonical(event.data)
    if data is None:
        yield f"the data of {where} is not canonical JSON"
    else:
        _note_files(scan, event, data)
    scan.events += 1
    scan.position = event.position
    scan.versions[event.job_id] = event.version
    scan.recorded_at = max(scan.recorded_at, event.recorded_at)
    if event.type in TERMINAL_TYPES:
        scan.ends.setdefault(event.job_id, event.position)


def _missing(first: int, last: int) -> str:
    return f"position {first} is missing" if first == last else f"positions {first} to {last} are missing"


def _canonical(text: str) -> dict[str, Any] | None:
    """The data, if it is a JSON object in the one form that is canonical."""
    try:
        # Canonical numbers are doubles; a whole one is written without a point, however large it is.
        value = json.loads(text, parse_int=float)
        return value if isinstance(value, dict) and dumps(value) == text else None
    except ValueError:
        return None


def _note_files(scan: _Scan, event: StoredEvent, data: dict[str, Any]) -> None:
    needed_by = f"job {event.job_id}"
    if event.type == "CheckpointSaved":
        scan.checkpoints.setdefault(str(data.get("digest")), needed_by)
    elif event.type == "JobCompleted":
        scan.models.setdefault(str(data.get("model_digest")), needed_by)
    elif event.type == "JobSubmitted":
        for price in data.get("prices", []):
            scan.prices.setdefault(str(price.get("digest")), needed_by)
        for series in data.get("context", []):
            scan.prices.setdefault(str(series.get("digest")), f"{needed_by} (context series {series.get('name')})")


def _check_projections(connection: Connection, scan: _Scan) -> Iterator[str]:
    """Compares each job's projections with the fold of its events, both as of one moment."""
    for job_id in scan.versions:
        connection.exec_driver_sql("BEGIN")
        try:
            query = select(events).where(events.c.job_id == job_id).order_by(events.c.version)
            history = [StoredEvent(**row).recorded for row in connection.execute(query).mappings()]
            for difference in compare(connection, history):
                yield str(difference)
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # data that is damaged beyond reading
            yield f"the events of job {job_id} cannot be compared with its projections: {error}"
        finally:
            connection.rollback()
    for job_id in connection.scalars(select(jobs.c.job_id)):
        if job_id not in scan.versions and not _has_events(connection, job_id):
            yield f"jobs has a row of job {job_id}, of which the log knows nothing"


def _has_events(connection: Connection, job_id: str) -> bool:
    """A job that was submitted since the scan is no finding."""
    return connection.execute(select(events.c.position).where(events.c.job_id == job_id).limit(1)).first() is not None


def _check_model(store: Store, digest: str, needed_by: str) -> Iterator[str]:
    try:
        folder = store.models.path(digest)
        names = frozenset(path.name for path in folder.iterdir()) - {SUMS}
        _, found = read_directory(folder, names)
    except FileNotFoundError:
        yield f"the model {digest} of {needed_by} is missing"
    except (SavedModelError, ValueError, OSError) as error:
        yield f"the model {digest} of {needed_by} is damaged: {error}"
    else:
        if found != digest:
            yield f"the model {digest} of {needed_by} was replaced by another one, {found}"


def _check_prices(store: Store, digest: str, needed_by: str) -> Iterator[str]:
    try:
        found = _file_digest(store.prices.path(digest))
    except FileNotFoundError:
        yield f"the price data {digest} of {needed_by} is missing"
    except (ValueError, OSError) as error:
        yield f"the price data {digest} of {needed_by} cannot be read: {error}"
    else:
        if found != digest:
            yield f"the price data {digest} of {needed_by} was changed: its digest is {found}"


def _check_checkpoint(store: Store, digest: str, saved_by: str) -> Iterator[str]:
    """A checkpoint is an aid and no promise: that one was removed is no finding."""
    try:
        found = _file_digest(store.checkpoints.path(digest))
    except FileNotFoundError:
        return
    except (ValueError, OSError) as error:
        yield f"the checkpoint {digest} of {saved_by} cannot be read: {error}"
    else:
        if found != digest:
            yield f"the checkpoint {digest} of {saved_by} was changed: its digest is {found}"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
