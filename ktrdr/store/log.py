"""The one way to write: a transaction that appends events and carries their projections along.

Imports jobs and the store's own parts. Every write of every process goes through `Log.write`: `BEGIN IMMEDIATE`, the
operation, the Merkle tree over what it appended, `COMMIT` with `synchronous=FULL`, then the doorbell. Operations only
read and append; nothing is computed inside a transaction that could be computed before it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import pysqlite3
from sqlalchemy import Engine

from ktrdr.clock import Clock, system_clock, to_instant
from ktrdr.jobs.codec import encode, leaf_hash
from ktrdr.jobs.events import Instant, JobEvent, JobId, Position, Pruned, Recorded, ServiceEvent
from ktrdr.jobs.merkle import Edge
from ktrdr.jobs.refusals import StaleVersionError
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.service.subjects import evolve_subject
from ktrdr.jobs.state import JobState, evolve, no_job, state_from_data
from ktrdr.store.database import try_begin_write, turn_pauses, unwritable
from ktrdr.store.doorbell import Doorbell
from ktrdr.store.projections import project, project_subject
from ktrdr.store.statements import Prepared, Statements
from ktrdr.store.subjects import find_subject
from ktrdr.store.tree import TILE_LEVELS

Result = TypeVar("Result")
SubjectType = TypeVar("SubjectType", bound=Subject)


class _HasVersion(Protocol):
    @property
    def version(self) -> int: ...


StateType = TypeVar("StateType", bound=_HasVersion)


class Transaction:
    """What an operation sees while it holds the only write lock: the state of jobs, and `append`."""

    def __init__(self, cursor: Any, statements: Statements, clock: Clock) -> None:
        self.cursor = cursor
        self.statements = statements
        #: True once anything was written, so that a refused operation is known to have left nothing behind.
        self.has_written = False
        self._deferred: dict[Prepared, list[Mapping[str, Any]]] = {}
        self._position, last_at, edge = statements.tree.run(cursor).fetchone()
        self._edge = Edge(self._position, edge)
        # A clock that was set back would make the log's order and its times disagree: hold the last time instead.
        self.now: Instant = max(to_instant(clock()), Instant(last_at))

    def state(self, job_id: JobId) -> JobState:
        """The job as it stands; version 0 if there is none."""
        row = self.statements.job_state.run(self.cursor, job_id=job_id).fetchone()
        return state_from_data(json.loads(row[0])) if row else no_job(job_id)

    def append(self, state: JobState, events: Sequence[JobEvent], *, actor: str) -> JobState:
        """Records events after `state` and returns the new state.

        Raises StaleVersionError if the job is not at the version of `state` any more.
        """
        return self._append(state, events, stream=state.job_id, actor=actor, fold_in=evolve, keep=project)

    def change(self, job_id: JobId, decide: Callable[[JobState], Sequence[JobEvent]], *, actor: str) -> JobState:
        """Load, decide, append: the whole of a command. Raises what `decide` refuses."""
        state = self.state(job_id)
        return self.append(state, decide(state), actor=actor)

    def subject(self, subject: type[SubjectType], name: str) -> SubjectType:
        """A setting, token or schedule as it stands; version 0 if there is none. Raises ValueError for no name."""
        return find_subject(self.cursor, self.statements, subject, name)

    def change_subject(
        self,
        subject: type[SubjectType],
        name: str,
        decide: Callable[[SubjectType], Sequence[ServiceEvent]],
        *,
        actor: str,
    ) -> SubjectType:
        """Load, decide, append for a subject of the service. Raises what `decide` refuses, and ValueError."""
        state = self.subject(subject, name)
        return self._append(
            state, decide(state), stream=state.id, actor=actor, fold_in=evolve_subject, keep=project_subject
        )

    def _append(
        self,
        state: StateType,
        events: Sequence[JobEvent | ServiceEvent],
        *,
        stream: JobId,
        actor: str,
        fold_in: Callable[[StateType, Recorded], StateType],
        keep: Callable[[Transaction, StateType, StateType, Sequence[Recorded]], bool],
    ) -> StateType:
        if not events:
            return state
        self.has_written = True
        before, recorded = state, []
        for event in events:
            self._position += 1
            recorded.append(
                Recorded(
                    position=Position(self._position),
                    job_id=stream,
                    version=state.version + 1,
                    at=self.now,
                    actor=actor,
                    event=event,
                )
            )
            state = fold_in(state, recorded[-1])
        if not keep(self, before, state, recorded):
            self._position -= len(events)
            raise StaleVersionError(stream, before.version, self.state(stream).version)
        for entry in recorded:
            self._insert(entry)
        return state

    def defer(self, statement: Prepared, **values: Any) -> None:
        """Runs a statement at the end of the transaction, together with all others of its kind.

        For rows that no operation reads back. Each call of the driver lets go of the interpreter's lock, which with
        many clients costs more than the row.
        """
        self._deferred.setdefault(statement, []).append(values)

    def flush(self) -> None:
        """Runs what was deferred, and brings the tree to what was appended."""
        if self._edge.size < self._position:
            self._grow_tree()
        for statement, rows in self._deferred.items():
            statement.run_all(self.cursor, rows)

    def _grow_tree(self) -> None:
        for row in self._deferred[self.statements.insert_event]:
            for level, node in enumerate(self._edge.append(row["leaf_hash"]), start=1):
                if level % TILE_LEVELS == 0:
                    index = (self._edge.size >> level) - 1
                    self.defer(self.statements.insert_tree_node, level=level, index=index, hash=node)
        self.statements.update_tree.run(
            self.cursor, new_size=self._edge.size, new_time=self.now, new_edge=bytes(self._edge)
        )

    def _insert(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, Pruned):
            raise TypeError(f"{event.type} was pruned: what is left of an event cannot be recorded")
        event_type, data = type(event).__name__, encode(event)
        self.defer(
            self.statements.insert_event,
            position=recorded.position,
            job_id=recorded.job_id,
            version=recorded.version,
            type=event_type,
            schema=event.SCHEMA,
            data=data,
            actor=recorded.actor,
            recorded_at=recorded.at,
            leaf_hash=leaf_hash(
                position=recorded.position,
                job_id=recorded.job_id,
                version=recorded.version,
                event_type=event_type,
                schema=event.SCHEMA,
                data=data,
                actor=recorded.actor,
                at=recorded.at,
            ),
        )


Operation = Callable[[Transaction], Result]


class Log:
    """One process's writing connection to the log. Safe to call from several threads; one of them writes at a time."""

    def __init__(self, engine: Engine, doorbell: Doorbell, *, clock: Clock = system_clock) -> None:
        self._statements = Statements(engine.dialect)
        self._engine = engine
        self._connection = engine.raw_connection()
        self._doorbell = doorbell
        self._clock = clock
        self._lock = threading.Lock()

    def write(self, operation: Operation[Result]) -> Result:
        """Runs an operation in a transaction of its own; once this returns, what it wrote survives power loss.

        Whatever the operation raises undoes it and is passed on. Raises DatabaseBusyError if it never is our turn, and
        DatabaseUnwritableError if the disk takes nothing; the next write may succeed all the same.
        """
        return self.write_all([operation])[0]

    def write_all(self, operations: Sequence[Operation[Result]]) -> list[Result]:
        """Runs operations in one transaction, under one commit: all of them or, if one raises, none.

        Raises DatabaseBusyError and DatabaseUnwritableError.
        """
        pauses = turn_pauses()
        while (results := self.try_write_all(operations)) is None:
            time.sleep(next(pauses))
        return results

    def try_write_all(self, operations: Sequence[Operation[Result]]) -> list[Result] | None:
        """The same, or None without waiting if another process is writing now."""
        with self._lock:
            cursor: Any = self._connection.cursor()
            try:
                if not try_begin_write(cursor):
                    return None
                try:
                    transaction = Transaction(cursor, self._statements, self._clock)
                    results = [operation(transaction) for operation in operations]
                    transaction.flush()
                    cursor.execute("COMMIT")
                except BaseException:
                    self._connection.rollback()  # unless SQLite did so itself, as it may when the disk is full
                    raise
            except pysqlite3.OperationalError as error:
                if told := unwritable(error, self._engine):
                    raise told from error
                raise
            finally:
                cursor.close()
        self._doorbell.ring()
        return results

    def close(self) -> None:
        self._connection.close()
