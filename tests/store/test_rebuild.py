"""Folding the log again finds each way in which a projection can be wrong, and puts it right."""

from __future__ import annotations

from typing import Any

import pytest
from job_builders import BATCH, EPOCH, SUBMITTED
from store_steps import (
    Observer,
    SettableClock,
    cancel,
    change,
    claim,
    differences,
    live_through,
    new_job_id,
    raw,
    running_job,
    submit,
)

from ktrdr.jobs import decide
from ktrdr.store import Log, Reader, Store, leases
from ktrdr.store.rebuild import GROUP, rebuild

TABLES = ("jobs", "job_terms", "leases")


def _projections(store: Store) -> dict[str, list[Any]]:
    connection = raw(store)
    rows = {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in TABLES}
    connection.close()
    return rows


def _plant(store: Store, *statements: str) -> None:
    """Changes projections behind our backs, as a bug or a hand with a database tool might."""
    connection = raw(store)  # without foreign keys: SQLite leaves them off unless asked
    for statement in statements:
        assert connection.execute(statement).rowcount > 0, f"nothing planted: {statement}"
    connection.close()


def test_after_any_history_there_is_nothing_to_repair(
    store: Store, log: Log, clock: SettableClock, observer: Observer
) -> None:
    live_through(log, clock, observer, 300)
    assert differences(store) == ()


def test_projections_that_were_thrown_away_are_made_again(
    store: Store, log: Log, reader: Reader, clock: SettableClock, observer: Observer
) -> None:
    live_through(log, clock, observer, 200)
    before = _projections(store)
    assert before["leases"], "no lease to lose"
    _plant(store, "DELETE FROM leases", "DELETE FROM job_terms", "DELETE FROM jobs")
    assert differences(store) != ()
    after = _projections(store)
    assert [after["jobs"], after["job_terms"]] == [before["jobs"], before["job_terms"]]
    assert [row[:3] for row in after["leases"]] == [row[:3] for row in before["leases"]]
    assert reader.status_counts() != {}
    assert differences(store) == ()


PLANTED = {
    "status": ("jobs", ["UPDATE jobs SET status = 'completed' WHERE job_id = '{running}'"]),
    "version": ("jobs", ["UPDATE jobs SET version = 99 WHERE job_id = '{running}'"]),
    "state": ("jobs", ["UPDATE jobs SET state = replace(state, 'trend', 'other') WHERE job_id = '{running}'"]),
    "queue": ("jobs", ["UPDATE jobs SET waits_for = 'auto' WHERE job_id = '{running}'"]),
    "priority": ("jobs", ["UPDATE jobs SET priority = 5 WHERE job_id = '{running}'"]),
    "share": ("jobs", ["UPDATE jobs SET share = 'desk=fx' WHERE job_id = '{running}'"]),
    "digest": ("jobs", ["UPDATE jobs SET request_digest = '' WHERE job_id = '{running}'"]),
    "key": ("jobs", ["UPDATE jobs SET idempotency_key = 'other' WHERE job_id = '{running}'"]),
    "position": ("jobs", ["UPDATE jobs SET submitted_position = 50 WHERE job_id = '{running}'"]),
    "no row": ("jobs", ["DELETE FROM jobs WHERE job_id = '{running}'"]),
    "missing term": ("job_terms", ["DELETE FROM job_terms WHERE submitted_position = 1 AND term = 'symbol:AAPL'"]),
    "extra term": ("job_terms", ["INSERT INTO job_terms VALUES ('symbol:XYZ', 1)"]),
    "term of no job": ("job_terms", ["INSERT INTO job_terms VALUES ('symbol:XYZ', 2)"]),
    "missing lease": ("leases", ["DELETE FROM leases WHERE job_id = '{running}'"]),
    "lease epoch": ("leases", ["UPDATE leases SET lease_epoch = 9"]),
    "lease worker": ("leases", ["UPDATE leases SET worker = 'w9'"]),
    "extra lease": ("leases", ["INSERT INTO leases VALUES ('{queued}', 1, 'w1', 9, NULL)"]),
    "lease of no job": ("leases", ["INSERT INTO leases VALUES ('nowhere', 1, 'w1', 9, NULL)"]),
    "orphan": (
        "jobs",
        [
            """INSERT INTO jobs
            SELECT 9, 'x', version, position, status, waits_for, '', priority, NULL, '', state FROM jobs LIMIT 1"""
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_difference_is_found_and_repaired(store: Store, log: Log, planted: str) -> None:
    running, queued = running_job(log, idempotency_key="a"), submit(log, idempotency_key="b")
    projection, statements = PLANTED[planted]
    good = _projections(store)
    _plant(store, *(statement.format(running=running, queued=queued) for statement in statements))
    planted_rows = _projections(store)

    found = differences(store, repair=False)
    assert [difference.projection for difference in found] == [projection]
    assert _projections(store) == planted_rows, "looking changed something"
    assert differences(store) == found
    assert differences(store) == ()
    assert _projections(store) == good


CROSSED = {
    "keys": [
        "UPDATE jobs SET idempotency_key = NULL WHERE job_id = '{one}'",
        "UPDATE jobs SET idempotency_key = 'a' WHERE job_id = '{other}'",
        "UPDATE jobs SET idempotency_key = 'b' WHERE job_id = '{one}'",
    ],
    "positions": [
        "UPDATE jobs SET submitted_position = 99 WHERE job_id = '{one}'",
        "UPDATE jobs SET submitted_position = 1 WHERE job_id = '{other}'",
        "UPDATE jobs SET submitted_position = 3 WHERE job_id = '{one}'",
    ],
    "ids": [
        "UPDATE jobs SET job_id = 'x' WHERE job_id = '{one}'",
        "UPDATE jobs SET job_id = '{one}' WHERE job_id = '{other}'",
        "UPDATE jobs SET job_id = '{other}' WHERE job_id = 'x'",
    ],
    "an orphan in the place of a job": ["UPDATE jobs SET job_id = 'x' WHERE job_id = '{one}'"],
}


@pytest.mark.parametrize("crossed", CROSSED)
def test_rows_that_stand_in_each_others_place_are_put_right(store: Store, log: Log, crossed: str) -> None:
    one, other = running_job(log, idempotency_key="a"), running_job(log, idempotency_key="b")
    good = _projections(store)
    _plant(store, *(statement.format(one=one, other=other) for statement in CROSSED[crossed]))
    assert differences(store) != ()
    assert differences(store) == ()
    assert _projections(store) == good


def test_a_difference_says_what_was_found_and_what_the_log_says(store: Store, log: Log) -> None:
    job_id = running_job(log)
    _plant(store, "UPDATE leases SET worker = 'w9'")
    (difference,) = differences(store)
    assert str(difference) == f"leases of job {job_id}: found {{'worker': 'w9'}}, the log says {{'worker': 'w1'}}"


def test_a_repaired_lease_keeps_its_time_and_what_was_reported(store: Store, log: Log) -> None:
    job_id = running_job(log)
    log.write(lambda transaction: leases.report_once(transaction, job_id, 1, [BATCH, EPOCH], first=0))
    good = _projections(store)["leases"]
    _plant(store, "UPDATE jobs SET status = 'queued'")
    assert [difference.projection for difference in differences(store)] == ["jobs"]
    assert _projections(store)["leases"] == good


def test_a_worker_goes_on_reporting_under_a_lease_that_was_lost_and_made_again(store: Store, log: Log) -> None:
    job_id = running_job(log)
    change(log, job_id, lambda state: decide.report(state, 1, [BATCH]))
    change(log, job_id, lambda state: decide.release(state, 1, message=""))
    claim(log)
    log.write(lambda transaction: leases.report_once(transaction, job_id, 2, [BATCH, EPOCH], first=0))
    _plant(store, "DELETE FROM leases")
    differences(store)
    log.write(lambda transaction: leases.renew(transaction, job_id, 2))
    state = log.write(lambda transaction: leases.report_once(transaction, job_id, 2, [EPOCH, BATCH], first=1))
    assert state.version == 8, "one of the two was recorded before"


def test_every_job_and_event_is_counted_and_progress_told(store: Store, log: Log) -> None:
    log.write_all([_submission() for _ in range(GROUP + 5)])
    told: list[int] = []
    result = rebuild(store.engine, store.doorbell, progress=told.append)
    assert (result.jobs, result.events, result.differences) == (GROUP + 5, GROUP + 5, ())
    assert told == [GROUP, GROUP + 5]


def _submission() -> Any:
    job_id = new_job_id()
    return lambda transaction: transaction.change(job_id, lambda state: decide.submit(state, SUBMITTED), actor="")


def test_the_service_may_run_while_the_log_is_folded_again(store: Store, log: Log) -> None:
    log.write_all([_submission() for _ in range(2 * GROUP)])
    _plant(store, "UPDATE jobs SET status = 'failed'")
    result = rebuild(store.engine, store.doorbell, progress=lambda _jobs: cancel(log, submit(log)) and None)
    assert len(result.differences) == 2 * GROUP
    assert differences(store) == ()
