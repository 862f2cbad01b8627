"""A small installation with everything that an audit looks at, written without any training."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from jobs.job_builders import COMPLETED, EPOCH, FINISHED, STARTED, SUBMITTED

from ktrdr.jobs import decide
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import JobId
from ktrdr.jobs.identity import make_job_id
from ktrdr.store import Store, leases, open_store
from ktrdr.store.catalogue import put_dataset
from ktrdr.store.log import Log, Transaction
from ktrdr.training.model_directory import write_directory

COMPLETED_JOB, CANCELLED_JOB, RUNNING_JOB = (make_job_id(1_790_000_000_000 + number, bytes(10)) for number in range(3))
#: Positions of the completed job's events: it is the first one.
SUBMISSION, CLAIM, STAGE, EPOCHS, END = 1, 2, 3, 4, 6
CONTEXT = b"the values of RATE"


def write_log(home: Path) -> Store:
    """One completed job with its model and prices, one cancelled in the queue, one that runs."""
    store = open_store(home)
    prices = store.prices.add(b"the prices of AAPL")
    staged = home / "attempts" / "1" / "model"
    model = write_directory(staged, {"weights.safetensors": b"weights", "model.json": b"{}"})
    store.models.adopt(staged, model)
    submitted = replace(
        SUBMITTED,
        prices=({"symbol": "AAPL", "timeframe": "1h", "digest": prices},),
        context=({"name": "RATE", "digest": store.prices.add(CONTEXT)},),
    )

    def submit(transaction: Transaction, job_id: JobId) -> None:
        transaction.change(job_id, lambda state: decide.submit(state, submitted), actor="client:anna")

    def claim(transaction: Transaction) -> None:
        leases.claim_next(transaction, Claimant(worker="w1", kind="local", capabilities={}, numeric_profile={}))

    def complete(transaction: Transaction) -> None:
        submit(transaction, COMPLETED_JOB)
        claim(transaction)
        progress = (STARTED, EPOCH, FINISHED)
        transaction.change(COMPLETED_JOB, lambda state: decide.report(state, 1, progress), actor="worker:w1")
        ended = replace(COMPLETED, model_digest=model)
        transaction.change(COMPLETED_JOB, lambda state: decide.complete(state, 1, ended), actor="worker:w1")

    def cancel(transaction: Transaction) -> None:
        submit(transaction, CANCELLED_JOB)
        transaction.change(
            CANCELLED_JOB, lambda state: decide.request_cancellation(state, by="anna", reason=""), actor="client:anna"
        )

    def run(transaction: Transaction) -> None:
        submit(transaction, RUNNING_JOB)
        claim(transaction)
        put_dataset(transaction, symbol="AAPL", timeframe="1h", digest=prices, rows=1, first="2024", last="2024")

    log = store.open_log()
    for operation in (complete, cancel, run):
        log.write(operation)
    log.close()
    return store


def grow(log: Log) -> None:
    """One event more: another job is submitted."""
    job_id = make_job_id(1_790_000_001_000, os.urandom(10))
    log.write(
        lambda transaction: transaction.change(job_id, lambda state: decide.submit(state, SUBMITTED), actor="test")
    )


def tamper(store: Store, *changes: str) -> None:
    """Changes the database behind the back of all of its triggers, as whoever has the file can."""
    with store.engine.connect() as connection:
        for trigger in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
            connection.exec_driver_sql(f'DROP TRIGGER "{trigger[0]}"')
        for change in changes:
            connection.exec_driver_sql(change)
