"""Pruning: of jobs that ended long ago, what they said of their progress goes from the log into the archive.

Imports jobs and the store. The leaf hashes stay, so every proof and signed checkpoint holds as before. A job's whole
history is archived and read back before anything of it is emptied, and what the log then adds up to is written in the
same transaction: killed at any moment, pruning has lost nothing, and the next run goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pysqlite3
from sqlalchemy import ColumnElement, Connection, and_, delete, func, literal_column, select, update
from sqlalchemy.exc import DBAPIError

from ktrdr.audit.archive import ArchiveError, read_archive, stored_history, write_archive
from ktrdr.clock import system_clock, to_instant
from ktrdr.jobs.codec import PRUNABLE_TYPES
from ktrdr.jobs.events import Instant, JobId
from ktrdr.jobs.state import Status, fold
from ktrdr.store import Store
from ktrdr.store.database import NotWrittenError, begin_write, turn_pauses, unwritable
from ktrdr.store.projections import state_text
from ktrdr.store.reader import StoredEvent
from ktrdr.store.rebuild import rewrite_snapshots
from ktrdr.store.schema import events, jobs, snapshots

logger = logging.getLogger(__name__)

#: So many events are emptied in one transaction, so that nobody waits long for a turn to write.
CHUNK = 2000
#: A file of which so much is empty is worth writing again.
WORTH_A_VACUUM = 0.25
#: The scheduler leaves a larger file alone: for as long as it is written again, a second or two per 100 MB, nobody else
#: can write.
LARGEST_VACUUM_BYTES = 500_000_000
_PAGE = 500
#: As the index `jobs_ended` has it: SQLite must see that its condition holds.
_HAS_ENDED = jobs.c.status.in_([literal_column(f"'{status}'") for status in Status if status.is_final])
_IS_PRUNABLE = events.c.type.in_(PRUNABLE_TYPES)


@dataclass(frozen=True, slots=True)
class Emptied:
    """What was pruned, or would be."""

    jobs: int = 0
    events: int = 0
    #: Of data that left the log, or would.
    bytes: int = 0
    #: Jobs that were left as they are, and why.
    left: tuple[str, ...] = ()

    def __add__(self, other: Emptied) -> Emptied:
        return Emptied(
            self.jobs + other.jobs, self.events + other.events, self.bytes + other.bytes, self.left + other.left
        )


def ended_before(age: timedelta) -> Instant:
    """The instant before which a job must have ended to be so old."""
    return to_instant(system_clock() - age)


def prunable(store: Store, before: Instant) -> Emptied:
    """What `prune` would do, without doing it."""
    found = Emptied()
    with store.engine.connect() as connection:
        for job_id in _due(store, connection, before):
            query = select(func.count(), func.coalesce(func.sum(func.length(events.c.data)), 0))
            count, size = connection.execute(query.where(_is_unpruned(job_id))).one()
            found += Emptied(1, count, size)
    return found


def prune(store: Store, before: Instant, goes_on: Callable[[Emptied], bool] = lambda _: True) -> Emptied:
    """Prunes the jobs that ended before an instant. May run beside the service, and beside itself.

    A job whose archive is damaged, or whose events cannot be read, is left as it is. `goes_on` is asked after each job,
    given what was done so far. Raises NotWrittenError and OSError; what was done by then is done.
    """
    done = Emptied()
    with store.engine.connect() as connection:
        for job_id in _due(store, connection, before):
            try:
                done += _prune_job(store, connection, job_id)
            except ArchiveError as error:
                done += Emptied(left=(str(error),))
            except ValueError as error:  # a newer version wrote them
                done += Emptied(left=(f"the events of job {job_id} cannot be read: {error}",))
            except DBAPIError as error:
                if told := unwritable(error, store.engine):
                    raise told from error
                raise
            if not goes_on(done):
                break
    if done.jobs:
        store.doorbell.ring()
    return done


def _due(store: Store, connection: Connection, before: Instant) -> Iterator[JobId]:
    """The jobs that ended before an instant and have not been pruned, the oldest end first."""
    reader = store.open_reader()
    try:
        end = reader.position_at(before)
    finally:
        reader.close()
    after = 0
    while True:
        query = select(jobs.c.position, jobs.c.job_id).where(_HAS_ENDED, jobs.c.position > after, jobs.c.position < end)
        page = connection.execute(query.order_by(jobs.c.position).limit(_PAGE)).fetchall()
        connection.commit()
        if not page:
            return
        for after, job_id in page:  # noqa: B007
            # A job's oldest events are emptied first, so the newest one says whether all are.
            newest = select(events.c.data != "").where(events.c.job_id == job_id, _IS_PRUNABLE)
            is_due = connection.scalar(newest.order_by(events.c.version.desc()).limit(1))
            connection.commit()
            if is_due:
                yield JobId(job_id)


def _is_unpruned(job_id: JobId) -> ColumnElement[bool]:
    return and_(events.c.job_id == job_id, _IS_PRUNABLE, events.c.data != "")


def _prune_job(store: Store, connection: Connection, job_id: JobId) -> Emptied:
    reader = store.open_reader()
    try:
        history = stored_history(reader, job_id)
    finally:
        reader.close()
    if all(event.data for event in history):
        write_archive(store, history)
    read_archive(store, history)  # raises ArchiveError unless it holds every event, those emptied earlier too
    places = [place for place, event in enumerate(history) if event.type in PRUNABLE_TYPES and event.data]
    done = Emptied(jobs=1)
    for start in range(0, len(places), CHUNK):
        chunk = places[start : start + CHUNK]
        size = sum(len(history[place].data) for place in chunk)
        for place in chunk:
            history[place] = replace(history[place], data="")
        if not _empty(connection, chunk, history, is_last=start + CHUNK >= len(places)):
            break
        done += Emptied(events=len(chunk), bytes=size)
    return done


def _empty(connection: Connection, places: Sequence[int], history: Sequence[StoredEvent], *, is_last: bool) -> bool:
    """Empties the events at these places of a job's history, which is given as it will be then.

    A job that has ended gets no more events, so what it adds up to is known before the transaction. False, and nothing
    is changed, if another pruner was there first: it goes on, and what is written here would be older.
    """
    recorded = [event.recorded for event in history]
    job_id, state = recorded[0].job_id, state_text(fold(recorded))
    begin_write(connection.connection.cursor())
    emptied = connection.execute(
        update(events)
        .where(
            _is_unpruned(job_id),
            events.c.version.between(history[places[0]].version, history[places[-1]].version),
        )
        .values(data="")
    )
    if emptied.rowcount != len(places):
        connection.rollback()
        return False
    connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(state=state))
    if is_last:
        rewrite_snapshots(connection, recorded)
    else:
        connection.execute(delete(snapshots).where(snapshots.c.job_id == job_id))
    connection.commit()
    return True


def vacuum(store: Store) -> int:
    """Writes the database again without what is empty in it; gives the bytes that the disk has back.

    Nobody else can write meanwhile; readers go on. Raises DatabaseBusyError if others do not let go of the database,
    and DatabaseUnwritableError if the disk has no room for both.
    """
    with store.engine.connect() as connection:
        cursor = connection.connection.cursor()
        before = file_bytes(store)
        pauses = turn_pauses()
        while not _try_vacuum(store, cursor):
            time.sleep(next(pauses))
        # What VACUUM wrote lies in the WAL until a checkpoint, which whoever reads an older state can hold up.
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before - file_bytes(store)


def _try_vacuum(store: Store, cursor: Any) -> bool:
    """False if another connection is writing now. Raises DatabaseUnwritableError."""
    try:
        cursor.execute("VACUUM")
    except pysqlite3.OperationalError as error:
        if told := unwritable(error, store.engine):
            raise told from error
        if error.sqlite_errorcode & 0xFF != pysqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def file_bytes(store: Store) -> int:
    """The size of the database with everything in it, as its next checkpoint leaves it."""
    with store.engine.connect() as connection:
        cursor = connection.connection.cursor()
        pages, size = (int(cursor.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
        return pages * size


class Pruner:
    """Prunes each time it is called, and gives the room back once that is worth it. Belongs to one thread at a time."""

    def __init__(self, store: Store, age: timedelta, stopping: threading.Event) -> None:
        """`stopping`: set when the process has to end soon."""
        self._store = store
        self._age = age
        self._stopping = stopping
        #: Emptied since the file was written again.
        self._empty_bytes = 0

    def __call__(self) -> None:
        try:
            self._prune()
        except (NotWrittenError, OSError) as error:
            logger.warning("not everything that is due was pruned: %s; it is tried again", error)

    def _prune(self) -> None:
        done = prune(self._store, ended_before(self._age), lambda _: not self._stopping.is_set())
        self._empty_bytes += done.bytes
        for left in done.left:
            logger.error("not pruned: %s", left)
        if done.jobs:
            logger.info("pruned %d events of %d jobs, %d bytes", done.events, done.jobs, done.bytes)
        size = file_bytes(self._store)
        if self._stopping.is_set():
            return
        if self._empty_bytes >= size * WORTH_A_VACUUM and size <= LARGEST_VACUUM_BYTES:
            freed = vacuum(self._store)
            self._empty_bytes = 0
            logger.info("the database is %d bytes smaller", freed)
