"""The rules that hold whatever code runs: raw SQL against the file, beside all of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pysqlite3
import pytest
from job_builders import COMPLETED
from store_steps import cancel, change, raw, running_job, submit

from ktrdr.jobs import decide
from ktrdr.store import Log, Reader, Store

COLUMNS = ("position", "job_id", "version", "type", "schema", "data", "actor", "recorded_at", "leaf_hash")


@pytest.fixture
def connection(store: Store) -> Iterator[Any]:
    connection = raw(store)
    yield connection
    connection.close()


def _insert(connection: Any, how: str = "INSERT", **values: object) -> None:
    row = {
        "job_id": "other", "version": 1, "type": "JobSubmitted", "schema": 1, "data": "{}", "actor": "",
        "recorded_at": "", "leaf_hash": b"", **values,
    }  # fmt: skip
    marks = ",".join("?" * len(COLUMNS))
    connection.execute(f"{how} INTO events VALUES ({marks})", [row[name] for name in COLUMNS])


def test_the_raw_insert_of_these_tests_is_accepted_when_nothing_is_wrong(log: Log, connection: Any) -> None:
    job_id = submit(log)
    _insert(connection, position=2)
    _insert(connection, position=3, job_id=job_id, version=2, type="StageStarted")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("how", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
def test_an_event_is_never_changed(log: Log, connection: Any, reader: Reader, column: str, how: str) -> None:
    submit(log)
    before = reader.events(limit=10)
    with pytest.raises(pysqlite3.IntegrityError, match="an event is never changed"):
        connection.execute(f"{how} events SET {column} = 99")
    assert reader.events(limit=10) == before


@pytest.mark.parametrize("where", ["", "WHERE position = 1"])
def test_an_event_is_never_deleted(log: Log, connection: Any, reader: Reader, where: str) -> None:
    submit(log)
    with pytest.raises(pysqlite3.IntegrityError, match="an event is never deleted"):
        connection.execute(f"DELETE FROM events {where}")
    assert reader.last_position() == 1


@pytest.mark.parametrize("position", [1, 3, 0, -1, None, "x"])
@pytest.mark.parametrize("how", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
def test_a_position_that_is_not_the_next_one_is_refused(
    log: Log, connection: Any, reader: Reader, position: object, how: str
) -> None:
    submit(log)
    before = reader.events(limit=10)
    with pytest.raises(pysqlite3.IntegrityError, match=r"the position is not the next one|datatype mismatch"):
        _insert(connection, how, position=position)
    assert reader.events(limit=10) == before


@pytest.mark.parametrize("version", [1, 3, 0, -1, "x"])
def test_a_version_that_is_not_the_next_one_of_the_job_is_refused(log: Log, connection: Any, version: object) -> None:
    job_id = submit(log)
    with pytest.raises(pysqlite3.IntegrityError, match="the version is not the next one of the job"):
        _insert(connection, position=2, job_id=job_id, version=version)


@pytest.mark.parametrize("version", [1, 3, None])
@pytest.mark.parametrize("how", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
def test_no_way_to_insert_gets_past_the_versions(
    log: Log, connection: Any, reader: Reader, version: object, how: str
) -> None:
    job_id = submit(log)
    before = reader.events(limit=10)
    with suppress(pysqlite3.IntegrityError):  # OR IGNORE passes over a version that is NULL in silence
        _insert(connection, how, position=2, job_id=job_id, version=version)
    assert reader.events(limit=10) == before


@pytest.mark.parametrize("event_type", ["JobCompleted", "JobFailed", "JobCancelled", "StageStarted", "JobRequeued"])
def test_nothing_follows_the_end_of_a_job(log: Log, connection: Any, reader: Reader, event_type: str) -> None:
    completed = running_job(log)
    change(log, completed, lambda state: decide.complete(state, 1, COMPLETED))
    cancelled = submit(log)
    cancel(log, cancelled)
    last = reader.last_position()
    for job_id in (completed, cancelled):
        version = reader.job(job_id).version + 1
        with pytest.raises(pysqlite3.IntegrityError, match="the job has ended"):
            _insert(connection, position=last + 1, job_id=job_id, version=version, type=event_type)
    assert reader.last_position() == last


def test_a_job_has_one_end_even_where_the_triggers_are_gone(log: Log, connection: Any) -> None:
    job_id = submit(log)
    cancel(log, job_id)
    connection.execute("DROP TRIGGER events_end_with_the_job")
    with pytest.raises(pysqlite3.IntegrityError, match="UNIQUE constraint failed"):
        _insert(connection, position=4, job_id=job_id, version=4, type="JobCompleted")
