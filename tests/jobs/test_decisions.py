"""Every command in every status: the events that it records, or the refusal. The table is the specification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from job_builders import (
    BROKEN,
    CLAIMED,
    COMPLETED,
    CRASHED,
    EPOCH,
    EXPIRED,
    HISTORIES,
    REQUEUED,
    STARTED,
    SUBMITTED,
    after,
)

from ktrdr.jobs import decide
from ktrdr.jobs.events import CancelOutcome, JobEvent, RequeueReason
from ktrdr.jobs.refusals import RefusalError
from ktrdr.jobs.state import JobState

COMMANDS: dict[str, Callable[[JobState], Sequence[JobEvent]]] = {
    "submit": lambda state: decide.submit(state, SUBMITTED),
    "claim": lambda state: decide.claim(
        state, worker="w1", worker_kind="local", capabilities={"device_type": "cpu"}, numeric_profile={}
    ),
    "report": lambda state: decide.report(state, 1, [STARTED, EPOCH]),
    "complete": lambda state: decide.complete(state, 1, COMPLETED),
    "fail": lambda state: decide.fail(state, 1, BROKEN),
    "crash": lambda state: decide.fail(state, 1, CRASHED),
    "acknowledge": lambda state: decide.acknowledge_cancellation(
        state, 1, outcome=CancelOutcome.STOPPED, batches_after_request=1, where="epoch 1"
    ),
    "release": lambda state: decide.release(state, 1, message="the worker was told to stop"),
    "expire": lambda state: decide.expire_lease(state, 1),
    "cancel": lambda state: decide.request_cancellation(state, by="client:anna", reason="wrong symbol"),
}

# "-" records nothing; "!" marks a refusal, named without its "Error"; "Requested" is CancellationRequested.
TABLE = """
command     | none     | queued    | running   | cancelling | completed | failed    | cancelled
submit      | Submitted| !Stale    | !Stale    | !Stale     | !Stale    | !Stale    | !Stale
claim       | !Unknown | Claimed   | !NotQueued| !NotQueued | !NotQueued| !NotQueued| !NotQueued
report      | !Unknown | !Lost     | Stage+Epoch| Stage+Epoch| !Lost    | !Lost     | !Lost
complete    | !Unknown | !Lost     | Completed | Cancelled  | !Lost     | !Lost     | !Lost
fail        | !Unknown | !Lost     | Failed    | Cancelled  | !Lost     | !Lost     | !Lost
crash       | !Unknown | !Lost     | Requeued  | Cancelled  | !Lost     | !Lost     | !Lost
acknowledge | !Unknown | !Lost     | !Lost     | Cancelled  | !Lost     | !Lost     | !Lost
release     | !Unknown | !Lost     | Requeued  | Cancelled  | !Lost     | !Lost     | !Lost
expire      | !Unknown | !Lost     | Expired+Requeued | Expired+Cancelled | !Lost | !Lost | !Lost
cancel      | !Unknown | Requested+Cancelled | Requested | - | !Finished | !Finished | !Finished
"""
SHORT = {
    "Submitted": "JobSubmitted", "Claimed": "JobClaimed", "Stage": "StageStarted", "Epoch": "EpochFinished",
    "Completed": "JobCompleted", "Failed": "JobFailed", "Cancelled": "JobCancelled", "Requeued": "JobRequeued",
    "Expired": "LeaseExpired", "Requested": "CancellationRequested",
    "!Stale": "StaleVersionError", "!Unknown": "UnknownJobError", "!NotQueued": "NotQueuedError",
    "!Lost": "LeaseLostError", "!Finished": "JobFinishedError",
}  # fmt: skip


def _cells() -> list[tuple[str, str, list[str]]]:
    head, *rows = ([cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines())
    return [
        (command, status, [SHORT[name] for name in cell.split("+") if name != "-"])
        for command, *cells in rows
        for status, cell in zip(head[1:], cells, strict=True)
    ]


@pytest.mark.parametrize(("command", "status", "expected"), _cells())
def test_a_command_records_or_is_refused_as_the_table_says(command: str, status: str, expected: list[str]) -> None:
    state = after(*HISTORIES[status])
    try:
        found = [type(event).__name__ for event in COMMANDS[command](state)]
    except RefusalError as refusal:
        found = [type(refusal).__name__]
    assert found == expected


def test_the_table_holds_every_command() -> None:
    assert {command for command, _, _ in _cells()} == set(COMMANDS)


@pytest.mark.parametrize("command", ["report", "complete", "fail", "crash", "acknowledge", "release", "expire"])
@pytest.mark.parametrize("status", ["running", "cancelling"])
def test_a_lease_of_an_earlier_attempt_is_refused(command: str, status: str) -> None:
    history = [SUBMITTED, CLAIMED, EXPIRED, REQUEUED, replace(CLAIMED, lease_epoch=2), *HISTORIES[status][2:]]
    state = after(*history)
    assert state.status == status
    with pytest.raises(RefusalError, match=r"lease 1 .* is no longer held: lease 2 was given out since"):
        COMMANDS[command](state)


def _only(state: JobState, command: str) -> Any:
    (event,) = COMMANDS[command](state)
    return event


def test_each_claim_has_the_next_lease_epoch_and_the_attempt_counts_what_was_spent() -> None:
    first = _only(after(SUBMITTED), "claim")
    released = _only(after(SUBMITTED, CLAIMED, replace(REQUEUED, reason=RequeueReason.RELEASED)), "claim")
    lost = _only(after(SUBMITTED, CLAIMED, EXPIRED, REQUEUED), "claim")
    assert (first.attempt, first.lease_epoch) == (1, 1)
    assert (released.attempt, released.lease_epoch) == (1, 2)
    assert (lost.attempt, lost.lease_epoch) == (2, 2)


@pytest.mark.parametrize(("max_attempts", "end"), [(1, "JobFailed"), (2, "JobRequeued")])
def test_a_failure_that_may_be_tried_again_ends_the_job_once_its_attempts_are_spent(
    max_attempts: int, end: str
) -> None:
    state = after(replace(SUBMITTED, max_attempts=max_attempts), CLAIMED)
    assert type(_only(state, "crash")).__name__ == end
    expired, last = COMMANDS["expire"](state)
    assert [type(expired).__name__, type(last).__name__] == ["LeaseExpired", end]


def test_a_job_lost_for_the_last_time_says_what_happened_and_what_to_do() -> None:
    _, failed = decide.expire_lease(after(replace(SUBMITTED, max_attempts=1), CLAIMED, STARTED), 1)
    assert failed == replace(
        BROKEN,
        kind="worker_lost",
        message="worker w1 did not renew its lease, for the 1. time",
        where="train_model",
        fix="look at the worker's log: memory, power and network end workers; then submit the job again",
        retryable=True,
    )


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("complete", CancelOutcome.FINISHED_FIRST),
        ("fail", CancelOutcome.FAILED),
        ("crash", CancelOutcome.FAILED),
        ("acknowledge", CancelOutcome.STOPPED),
        ("release", CancelOutcome.STOPPED),
        ("expire", CancelOutcome.WORKER_LOST),
    ],
)
def test_a_cancelled_job_carries_the_receipt_of_the_request_that_it_honoured(
    command: str, outcome: CancelOutcome
) -> None:
    cancelled: Any = COMMANDS[command](after(*HISTORIES["cancelling"]))[-1]
    assert (cancelled.outcome, cancelled.request_version) == (outcome, 3)


def test_the_receipt_of_a_job_cancelled_in_the_queue_names_the_request_recorded_with_it() -> None:
    requested, cancelled = COMMANDS["cancel"](after(SUBMITTED))
    state = after(SUBMITTED, requested, cancelled)
    assert (cancelled.request_version, cancelled.outcome) == (2, CancelOutcome.NOT_STARTED)  # type: ignore[union-attr]
    assert (state.cancellation_version, state.cancelled_by, state.cancel_reason) == (2, "client:anna", "wrong symbol")


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_a_long_message_of_a_worker_is_cut_whatever_becomes_of_the_job(max_attempts: int) -> None:
    state = after(replace(SUBMITTED, max_attempts=max_attempts), CLAIMED)
    (ended,) = decide.fail(state, 1, replace(CRASHED, message="x" * 100_000))
    (released,) = decide.release(state, 1, message="x" * 100_000)
    assert len(ended.message) == len(released.message) == decide.MESSAGE_LIMIT  # type: ignore[union-attr]
