"""An operation that breaks, however it does, is undone as a whole and leaves the log usable."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pysqlite3
import pytest
from job_builders import CLAIMED, EPOCH, SUBMITTED
from store_steps import new_job_id, submit

from ktrdr.jobs import decide
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.state import NO_JOB
from ktrdr.store import Log, Reader
from ktrdr.store.database import DatabaseUnwritableError
from ktrdr.store.log import Transaction


def _append_and_break(transaction: Transaction) -> None:
    transaction.append(replace(NO_JOB, job_id=new_job_id()), [SUBMITTED, CLAIMED], actor="test")
    raise RuntimeError("after writing")


def _append_a_number_that_json_cannot_hold(transaction: Transaction) -> None:
    endless = replace(EPOCH, train_loss=math.inf)
    transaction.append(replace(NO_JOB, job_id=new_job_id()), [SUBMITTED, CLAIMED, endless], actor="test")


def _break_a_rule_of_the_database(transaction: Transaction) -> None:
    transaction.append(replace(NO_JOB, job_id=new_job_id()), [SUBMITTED], actor="test")
    transaction.cursor.execute("DELETE FROM events WHERE position = 1")


def _cancel_an_unknown_job(transaction: Transaction) -> None:
    transaction.change(new_job_id(), lambda state: decide.request_cancellation(state, by="x", reason=""), actor="test")


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (_append_and_break, RuntimeError),
        (_append_a_number_that_json_cannot_hold, ValueError),
        (_break_a_rule_of_the_database, pysqlite3.IntegrityError),
        (_cancel_an_unknown_job, UnknownJobError),
    ],
)
def test_an_operation_that_breaks_leaves_nothing_behind_and_the_log_stays_usable(
    log: Log, reader: Reader, operation: Any, error: type[Exception]
) -> None:
    submit(log)
    with pytest.raises(error):
        log.write(operation)
    assert (reader.last_position(), reader.status_counts()) == (1, {"queued": 1})
    submit(log)
    assert (reader.last_position(), reader.status_counts()) == (2, {"queued": 2})


def test_operations_written_together_are_undone_together(log: Log, reader: Reader) -> None:
    with pytest.raises(RuntimeError, match="after writing"):
        log.write_all([lambda transaction: transaction.cursor.execute("DELETE FROM strategies"), _append_and_break])
    assert reader.last_position() == 0


def test_the_error_of_a_full_disk_reaches_the_caller_and_the_log_stays_usable(log: Log, reader: Reader) -> None:
    submit(log)

    def fill(transaction: Transaction) -> None:
        transaction.cursor.execute("PRAGMA max_page_count=1")  # as small as the file is now
        transaction.append(
            replace(NO_JOB, job_id=new_job_id()), [replace(SUBMITTED, strategy={"x": "y" * 500_000})], actor="test"
        )

    with pytest.raises(DatabaseUnwritableError, match="full"):
        log.write(fill)
    log.write(lambda transaction: transaction.cursor.execute("PRAGMA max_page_count=1000000"))
    submit(log)
    assert (reader.last_position(), reader.status_counts()) == (2, {"queued": 2})


def test_the_error_is_shown_also_where_sqlite_has_undone_the_transaction_itself(log: Log, reader: Reader) -> None:
    def operation(transaction: Transaction) -> None:
        transaction.append(replace(NO_JOB, job_id=new_job_id()), [SUBMITTED], actor="test")
        transaction.cursor.execute("INSERT OR ROLLBACK INTO strategies VALUES (NULL, NULL, NULL)")

    with pytest.raises(pysqlite3.IntegrityError, match="NOT NULL"):
        log.write(operation)
    submit(log)
    assert reader.last_position() == 1
