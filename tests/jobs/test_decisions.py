"""Every command in every status: the events that it records, or the refusal. The table is the specification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_builders import (
    BATCH,
    BROKEN,
    CANCELLED,
    CHECKPOINT,
    CLAIMANT,
    CLAIMED,
    COMPLETED,
    CRASHED,
    EPOCH,
    EXPIRED,
    HISTORIES,
    REQUESTED,
    REQUEUED,
    STARTED,
    SUBMITTED,
    after,
    record,
)

from ktrdr.jobs import decide
from ktrdr.jobs.events import CancelOutcome, JobEvent, RequeueReason
from ktrdr.jobs.refusals import LeaseLostError, MissingReportError, RefusalError
from ktrdr.jobs.state import JobState, fold

COMMANDS: dict[str, Callable[[JobState], Sequence[JobEvent]]] = {
    "submit": lambda state: decide.submit(state, SUBMITTED),
    "claim": lambda state: decide.claim(state, CLAIMANT),
    "regain": lambda state: decide.regain(state, 1, CLAIMANT, may_run=True),
    "give up": lambda state: decide.give_up(state, kind="no_gpu", message="there is no GPU", fix=""),
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

#: A lost worker is not a status: the job waits again, and its worker may come back.
LOST: dict[str, tuple[JobEvent, ...]] = {"lost": (SUBMITTED, CLAIMED, EXPIRED, REQUEUED)}

# "-" records nothing; "!" marks a refusal, named without its "Error"; "Requested" is CancellationRequested.
TABLE = """
command     | none     | queued    | lost     | running   | cancelling | completed | failed    | cancelled
submit      | Submitted| !Stale    | !Stale   | !Stale    | !Stale     | !Stale    | !Stale    | !Stale
claim       | !Unknown | Claimed   | Claimed  | !NotQueued| !NotQueued | !NotQueued| !NotQueued| !NotQueued
regain      | !Unknown | !Lost     | Claimed  | !Lost     | !Lost      | !Lost     | !Lost     | !Lost
give up     | !Unknown | Failed    | Failed   | !NotQueued| !NotQueued | !NotQueued| !NotQueued| !NotQueued
report      | !Unknown | !Lost     | !Lost    | Stage+Epoch| Stage+Epoch| !Lost    | !Lost     | !Lost
complete    | !Unknown | !Lost     | !Lost    | Completed | Cancelled  | !Lost     | !Lost     | !Lost
fail        | !Unknown | !Lost     | !Lost    | Failed    | Cancelled  | !Lost     | !Lost     | !Lost
crash       | !Unknown | !Lost     | !Lost    | Requeued  | Cancelled  | !Lost     | !Lost     | !Lost
acknowledge | !Unknown | !Lost     | !Lost    | !Lost     | Cancelled  | !Lost     | !Lost     | !Lost
release     | !Unknown | !Lost     | !Lost    | Requeued  | Cancelled  | !Lost     | !Lost     | !Lost
expire      | !Unknown | !Lost     | !Lost    | Expired+Requeued | Expired+Cancelled | !Lost | !Lost | !Lost
cancel      | !Unknown | Requested+Cancelled | Requested+Cancelled | Requested | - | !Finished | !Finished | !Finished
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
    state = after(*(HISTORIES | LOST)[status])
    try:
        found = [type(event).__name__ for event in COMMANDS[command](state)]
    except RefusalError as refusal:
        found = [type(refusal).__name__]
    assert found == expected


def test_the_table_holds_every_command() -> None:
    assert {command for command, _, _ in _cells()} == set(COMMANDS)


@pytest.mark.parametrize(
    "command", ["report", "complete", "fail", "crash", "acknowledge", "release", "expire", "regain"]
)
@pytest.mark.parametrize("status", ["running", "cancelling"])
def test_a_lease_of_an_earlier_attempt_is_refused(command: str, status: str) -> None:
    history = [SUBMITTED, CLAIMED, EXPIRED, REQUEUED, replace(CLAIMED, lease_epoch=2), *HISTORIES[status][2:]]
    state = after(*history)
    assert state.status == status
    with pytest.raises(RefusalError, match=r"lease 1 .* is no longer held: lease 2 was given out since"):
        COMMANDS[command](state)


REQUEUED_WITHOUT_LOSS = replace(REQUEUED, reason=RequeueReason.RELEASED)


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


def test_a_job_that_no_worker_can_run_fails_in_the_queue_and_says_why() -> None:
    assert _only(after(SUBMITTED), "give up") == replace(
        BROKEN, kind="no_gpu", message="there is no GPU", where="queue", fix="", retryable=True
    )


# A worker that was cut off, and comes back.


def test_a_worker_that_comes_back_in_time_goes_on_with_its_attempt_which_was_not_spent_after_all() -> None:
    waiting = after(SUBMITTED, replace(CLAIMED, fallback="every worker with a GPU was busy"), EPOCH, EXPIRED, REQUEUED)
    (regained,) = decide.regain(waiting, 1, CLAIMANT, may_run=True)
    assert regained == replace(CLAIMED, lease_epoch=2, continues=1, fallback="every worker with a GPU was busy")
    assert waiting.attempts_spent == 1
    going_on = _then(waiting, regained)
    assert (going_on.attempts_spent, going_on.attempt, going_on.failure_kind) == (0, 1, None)
    assert (going_on.epoch, going_on.train_loss, going_on.reported) == (1, 0.9, 1)


def test_a_worker_may_come_back_again_and_again() -> None:
    state = after(replace(SUBMITTED, max_attempts=2), CLAIMED)
    for epoch in range(1, 5):
        state = _then(state, *decide.expire_lease(state, epoch))
        state = _then(state, *decide.regain(state, epoch, CLAIMANT, may_run=True))
        assert (state.status, state.lease_epoch, state.attempts_spent) == ("running", epoch + 1, 0)


def test_a_worker_that_asks_again_because_the_answer_was_lost_has_the_lease_that_it_was_given() -> None:
    state = after(SUBMITTED, CLAIMED, EXPIRED, REQUEUED, replace(CLAIMED, lease_epoch=2, continues=1))
    assert decide.regain(state, 1, CLAIMANT, may_run=False) == ()
    assert decide.regain(_then(state, REQUESTED), 1, CLAIMANT, may_run=True) == ()
    with pytest.raises(LeaseLostError, match="lease 2 was given out since"):
        decide.regain(state, 1, replace(CLAIMANT, worker="w2"), may_run=True)


@pytest.mark.parametrize(
    "history",
    [
        [REQUEUED_WITHOUT_LOSS],
        [replace(REQUEUED, reason=RequeueReason.ATTEMPT_FAILED)],
        # Another worker had the job in between, and gave it back: its own lease was not lost.
        [EXPIRED, REQUEUED, replace(CLAIMED, worker="w2", lease_epoch=2), REQUEUED_WITHOUT_LOSS],
        [EXPIRED, REQUEUED, replace(CLAIMED, worker="w2", lease_epoch=2)],
        [EXPIRED, REQUEUED, replace(CLAIMED, worker="w2", lease_epoch=2), replace(EXPIRED, lease_epoch=2), REQUEUED],
        [EXPIRED, REQUEUED, REQUESTED, CANCELLED],
        [EXPIRED, replace(BROKEN, kind="worker_lost")],
    ],
    ids=["given back", "failed", "given back by another", "taken", "taken and lost", "cancelled", "lost for good"],
)
def test_a_worker_cannot_come_back_to_what_it_did_not_lose_or_others_have_had_since(history: list[JobEvent]) -> None:
    state = after(SUBMITTED, CLAIMED, *history)
    last = state.lease_epoch if REQUEUED_WITHOUT_LOSS in history else 1
    for epoch in {1, last}:
        with pytest.raises(LeaseLostError):
            decide.regain(state, epoch, CLAIMANT, may_run=True)


def test_a_worker_cannot_come_back_beyond_the_caps() -> None:
    with pytest.raises(LeaseLostError, match="as many jobs of its share run as may"):
        decide.regain(after(SUBMITTED, CLAIMED, EXPIRED, REQUEUED), 1, CLAIMANT, may_run=False)


# Reports that are sent again.


@given(recorded=st.integers(0, 6), first=st.integers(0, 6), length=st.integers(0, 6))
def test_of_a_report_what_was_not_recorded_before_is_new(recorded: int, first: int, length: int) -> None:
    said = [replace(BATCH, batch=number) for number in range(20)]
    state = after(SUBMITTED, CLAIMED, *said[:recorded])
    if first > recorded:
        with pytest.raises(MissingReportError, match=f"event {recorded} of this attempt was never received"):
            decide.fresh(state, first, said[first : first + length])
    else:
        fresh = decide.fresh(state, first, said[first : first + length])
        assert [*said[:recorded], *fresh] == said[: max(recorded, first + length)]


def test_reports_are_counted_within_the_attempt_whatever_lease_it_has() -> None:
    lost = [SUBMITTED, CLAIMED, STARTED, BATCH, EXPIRED, REQUEUED]
    regained = after(*lost, replace(CLAIMED, lease_epoch=2, continues=1), EPOCH)
    assert (regained.reported, decide.fresh(regained, 1, [BATCH, EPOCH, CHECKPOINT])) == (3, [CHECKPOINT])
    anew = after(*lost, replace(CLAIMED, lease_epoch=2))
    assert (anew.reported, decide.fresh(anew, 0, [STARTED])) == (0, [STARTED])


# Ends that are sent again.


@pytest.mark.parametrize(
    ("history", "has_settled"),
    [
        ([], False),
        ([REQUESTED], False),
        ([COMPLETED], True),
        ([BROKEN], True),
        ([REQUESTED, CANCELLED], True),
        ([EXPIRED, REQUEUED], False),
        ([EXPIRED, replace(BROKEN, kind="worker_lost")], True),
        ([EXPIRED, REQUEUED, REQUESTED, CANCELLED], True),
        ([EXPIRED, REQUEUED, replace(CLAIMED, lease_epoch=2), COMPLETED], False),
    ],
)
def test_a_worker_may_ask_again_how_its_job_ended_unless_another_had_it(
    history: list[JobEvent], has_settled: bool
) -> None:
    assert decide.has_settled(after(SUBMITTED, CLAIMED, *history), 1) == has_settled


def _then(state: JobState, *events: JobEvent) -> JobState:
    return fold(record(events, state), state)
