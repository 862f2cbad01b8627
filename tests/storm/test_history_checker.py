"""Each rule of the history checker finds the small history that breaks it, and none finds fault with a right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, write_log
from history_checker import Answers, check_answers, check_installation, read_journal
from history_rules import check_log
from jobs.job_builders import (
    BATCH,
    BROKEN,
    CANCELLED,
    CHECKPOINT,
    CLAIMED,
    COMPLETED,
    CRASHED,
    EPOCH,
    EXPIRED,
    FINISHED,
    JOB,
    NOON,
    REQUESTED,
    REQUEUED,
    STARTED,
    SUBMITTED,
    record,
)

from ktrdr.jobs.events import (
    CancellationRequested,
    CancelOutcome,
    Instant,
    JobEvent,
    JobFailed,
    JobId,
    JobRequeued,
    JobSubmitted,
    LeaseExpired,
    Position,
    Recorded,
    Relation,
    RequeueReason,
    TrainingResumed,
)
from ktrdr.jobs.identity import make_job_id

OTHER = make_job_id(1_790_000_000_001, bytes(10))
STAGE, STAGE_END = replace(STARTED, number=1), replace(FINISHED, number=1)
SECOND = replace(EPOCH, epoch=2, weights_digest="9" * 64)
AGAIN = replace(CLAIMED, attempt=2, lease_epoch=2)
REGAINED = replace(CLAIMED, lease_epoch=2, continues=1)
RELEASED = JobRequeued(reason=RequeueReason.RELEASED, message="the worker was stopped")
RESUMED = TrainingResumed(epoch=1, digest=CHECKPOINT.digest, passed_over=())
NOT_STARTED = replace(CANCELLED, request_version=2, outcome=CancelOutcome.NOT_STARTED)
WORKER_LOST = replace(CANCELLED, outcome=CancelOutcome.WORKER_LOST)
LOST = replace(CRASHED, kind="worker_lost")


def history(*events: JobEvent, job_id: JobId = JOB, after: Sequence[Recorded] = ()) -> list[Recorded]:
    """A log of one job (after another's), in which everybody says what is theirs to say."""
    actor, log = "worker:w1", list(after)
    previous: JobEvent | None = None
    for recorded in record(events, job_id=job_id):
        match recorded.event:
            case JobSubmitted() | CancellationRequested():
                actor = "client:anna"
            case LeaseExpired() | JobRequeued(reason=RequeueReason.LEASE_EXPIRED):
                actor = "scheduler"
            case JobFailed() if isinstance(previous, LeaseExpired):
                actor = "scheduler"
            case _:
                actor = "worker:w1"
        previous = recorded.event
        log.append(replace(recorded, position=Position(len(log) + 1), actor=actor))
    return log


def by(log: list[Recorded], actor: str) -> list[Recorded]:
    """The log with another author of its last event."""
    return [*log[:-1], replace(log[-1], actor=actor)]


RUN = (SUBMITTED, CLAIMED, STAGE)
RIGHT = {
    "completed": history(*RUN, BATCH, EPOCH, CHECKPOINT, SECOND, STAGE_END, COMPLETED),
    "failed": history(*RUN, BROKEN),
    "cancelled in the queue": history(SUBMITTED, REQUESTED, NOT_STARTED),
    "cancelled": history(SUBMITTED, CLAIMED, REQUESTED, CANCELLED),
    "cancelled with its worker": history(SUBMITTED, CLAIMED, REQUESTED, EXPIRED, WORKER_LOST),
    "resumed": history(*RUN, EPOCH, CHECKPOINT, EXPIRED, REQUEUED, AGAIN, RESUMED, SECOND, COMPLETED),
    "begun again": history(*RUN, EPOCH, EXPIRED, REQUEUED, AGAIN, STAGE, EPOCH, SECOND, STAGE_END, COMPLETED),
    "regained": history(*RUN, EPOCH, EXPIRED, REQUEUED, REGAINED, SECOND, STAGE_END, COMPLETED),
    "released": history(*RUN, RELEASED, replace(AGAIN, attempt=1), STAGE, STAGE_END, COMPLETED),
    "lost for good": history(replace(SUBMITTED, max_attempts=1), CLAIMED, EXPIRED, LOST),
    "given up in the queue": by(history(SUBMITTED, BROKEN), "scheduler"),
    "retried": history(
        replace(SUBMITTED, parent=JOB, relation=Relation.RETRY, starts_from={"epoch": 1, "digest": CHECKPOINT.digest}),
        CLAIMED, RESUMED, SECOND, COMPLETED, job_id=OTHER,
        after=history(*RUN, EPOCH, CHECKPOINT, SECOND, STAGE_END, COMPLETED),
    ),
    "forked": history(
        replace(SUBMITTED, parent=JOB, relation=Relation.FORK, forked_from={"epoch": 1, "digest": CHECKPOINT.digest}),
        CLAIMED, RESUMED, replace(SECOND, weights_digest="8" * 64), COMPLETED, job_id=OTHER,
        after=history(*RUN, EPOCH, CHECKPOINT, SECOND, STAGE_END, COMPLETED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("log", RIGHT.values(), ids=RIGHT)
def test_a_right_history_breaks_no_rule(log: list[Recorded]) -> None:
    assert check_log(log) == []


END = RIGHT["failed"]
LATER = Instant("2026-11-24T13:00:00.000000Z")
WRONG: list[tuple[list[Recorded], str]] = [
    ([END[0], *(replace(r, position=Position(r.position + 1)) for r in END[1:])], "stands at position 3, where 2 was"),
    ([*END[:-1], replace(END[-1], version=9)], "has version 9, where 4 was due"),
    ([replace(END[0], at=LATER), *END[1:]], f"was recorded at {NOON}, after an event of {LATER}"),
    (history(SUBMITTED, CLAIMED, BROKEN, STAGE), "comes after the end of its job at position 3"),
    (history(SUBMITTED, CLAIMED, COMPLETED, BROKEN), "comes after the end of its job at position 3"),
    (history(CLAIMED, BROKEN), "is the first of its job, which was never submitted"),
    (history(SUBMITTED, SUBMITTED, CLAIMED, BROKEN), "submits a job that there is already"),
    (history(*RUN), f"job {JOB} has not ended; its last is event 3 (StageStarted"),
    (history(SUBMITTED, CLAIMED, AGAIN, BROKEN), "w1 still holds lease 1"),
    (by(history(SUBMITTED, CLAIMED), "worker:w2"), "is by worker:w2, for w1"),
    (by(history(SUBMITTED, CLAIMED, STAGE), "worker:w2"), "is by worker:w2, and w1 holds the job"),
    (history(SUBMITTED, STAGE, CLAIMED, BROKEN), "is by worker:w1, and nobody holds the job"),
    (history(*RUN, EXPIRED, REQUEUED, STAGE_END, AGAIN, BROKEN), "(StageFinished.*and nobody holds the job"),
    (history(SUBMITTED, COMPLETED), "(JobCompleted.*and nobody holds the job"),
    (history(SUBMITTED, BROKEN), "(JobFailed.*and nobody holds the job"),
    (by(history(SUBMITTED, CLAIMED, RELEASED), "scheduler"), "is by scheduler, and w1 holds the job"),
    (history(SUBMITTED, CLAIMED, replace(EXPIRED, lease_epoch=2), LOST), "ends lease 2 of w1, which does not run"),
    (by(history(SUBMITTED, CLAIMED, EXPIRED), "worker:w1"), "(LeaseExpired.*is by worker:w1"),
    (history(SUBMITTED, CLAIMED, REQUEUED, AGAIN, BROKEN), "(JobRequeued.*by scheduler follows JobClaimed"),
    (history(SUBMITTED, replace(CLAIMED, lease_epoch=2), BROKEN), "gives out lease 2, after 0"),
    (history(*RUN, EXPIRED, REQUEUED, CLAIMED, BROKEN), "gives out lease 1, after 1"),
    (history(SUBMITTED, AGAIN, BROKEN), "is attempt 2, although 0 were spent"),
    (history(replace(SUBMITTED, max_attempts=1), *RUN[1:], EXPIRED, REQUEUED, AGAIN, BROKEN), "is attempt 2 of at"),
    (history(*RUN, RELEASED, REGAINED, BROKEN), "continues lease 1, which w1 has not just lost"),
    (
        history(*RUN, EXPIRED, REQUEUED, replace(REGAINED, worker="w2"), BROKEN),
        "continues lease 1, which w2 has not just lost",
    ),
    (history(SUBMITTED, CLAIMED, REQUESTED, REQUESTED, CANCELLED), "repeats the request at version 3"),
    (history(SUBMITTED, CLAIMED, REQUESTED, COMPLETED), "although a cancellation was requested at version 3"),
    (history(SUBMITTED, CLAIMED, REQUESTED, BROKEN), "although a cancellation was requested at version 3"),
    (
        history(SUBMITTED, CLAIMED, REQUESTED, EXPIRED, REQUEUED, AGAIN, CANCELLED),
        "(JobRequeued.*although a cancellation was",
    ),
    (history(SUBMITTED, CLAIMED, CANCELLED), "names version 3 as its request, the requests are []"),
    (
        history(SUBMITTED, CLAIMED, REQUESTED, replace(CANCELLED, request_version=2)),
        "names version 2 as its request, the requests are [3]",
    ),
    (
        history(SUBMITTED, REQUESTED, replace(NOT_STARTED, outcome=CancelOutcome.STOPPED)),
        "has the outcome stopped, after CancellationRequested",
    ),
    (history(SUBMITTED, CLAIMED, REQUESTED, EXPIRED, CANCELLED), "has the outcome stopped, after LeaseExpired"),
    (history(SUBMITTED, CLAIMED, REQUESTED, WORKER_LOST), "has the outcome worker_lost, and a worker had it"),
    (
        history(*RUN, EPOCH, EXPIRED, REQUEUED, AGAIN, RESUMED, SECOND, COMPLETED),
        f"names a checkpoint of epoch 1, {CHECKPOINT.digest}, that was never saved",
    ),
    (
        history(SUBMITTED, CLAIMED, replace(RESUMED, epoch=0, digest=None, passed_over=({"epoch": 3, "digest": "x"},))),
        "names a checkpoint of epoch 3, x, that was never saved",
    ),
    (history(SUBMITTED, CLAIMED, replace(RESUMED, digest=None), SECOND), "after epoch 1 without a checkpoint"),
    (history(SUBMITTED, CLAIMED, STARTED, BROKEN), "begins stage 9, after the end of stage 0"),
    (history(*RUN, replace(STARTED, number=2), BROKEN), "begins stage 2, after train_model stage 1"),
    (history(*RUN, STAGE_END, STAGE, BROKEN), "begins stage 1, after the end of stage 1"),
    (history(*RUN, replace(STAGE_END, name="load_price_data"), BROKEN), "ends load_price_data, stage 1; under way is"),
    (history(*RUN, STAGE_END, STAGE_END, BROKEN), "ends train_model, stage 1; under way is ''"),
    (history(*RUN, SECOND, BROKEN), "ends epoch 2, after the end of epoch 0"),
    (history(*RUN, EPOCH, EPOCH, BROKEN), "ends epoch 1, after the end of epoch 1"),
    (history(*RUN, EPOCH, EXPIRED, REQUEUED, REGAINED, EPOCH, BROKEN), "ends epoch 1, after the end of epoch 1"),
    (history(*RUN, EPOCH, CHECKPOINT, RESUMED, BROKEN), "comes after epoch 1 of the same attempt"),
    (history(*RUN, EPOCH, BATCH, BROKEN), "is in epoch 1, after the end of epoch 1"),
    (history(*RUN, BATCH, BATCH, BROKEN), "is batch 3 of 10, after batch 3"),
    (history(*RUN, replace(BATCH, batch=11), BROKEN), "is batch 11 of 10, after batch 0"),
    (history(*RUN, CHECKPOINT, EPOCH, BROKEN), "saves epoch 1; the attempt began after 0 and is at 0"),
    (
        history(*RUN, EPOCH, EXPIRED, REQUEUED, AGAIN, STAGE, replace(EPOCH, weights_digest="0" * 64), BROKEN),
        f"weights after epoch 1 {'0' * 64}; of the same training, event 4 ",
    ),
    (
        history(SUBMITTED, CLAIMED, replace(COMPLETED, model_digest="0" * 64), job_id=OTHER, after=RIGHT["completed"]),
        f"model {'0' * 64}; of the same training, event 9 ",
    ),
    (
        history(replace(SUBMITTED, parent=OTHER, relation=Relation.RETRY), CLAIMED, BROKEN),
        f"is a retry of job {OTHER}, which was not there before",
    ),
    (
        history(
            replace(SUBMITTED, parent=JOB, relation=Relation.FORK, forked_from={"epoch": 1, "digest": "x"}),
            CLAIMED, BROKEN, job_id=OTHER, after=RIGHT["completed"],
        ),
        f"starts from a checkpoint that job {JOB} had not saved",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("log", "violation"), WRONG)
def test_a_broken_rule_is_found(log: list[Recorded], violation: str) -> None:
    found = check_log(log)
    parts = violation.split(".*")
    assert any(all(part in one for part in parts) for one in found), found


def keyed(key: str | None, *events: JobEvent, job_id: JobId = JOB, after: Sequence[Recorded] = ()) -> list[Recorded]:
    return history(replace(SUBMITTED, idempotency_key=key), *events, job_id=job_id, after=after)


FAILED, CANCELLED_LOG = keyed("k", CLAIMED, BROKEN), keyed("k", REQUESTED, NOT_STARTED)


@pytest.mark.parametrize(
    ("log", "answers"),
    [
        (FAILED, Answers(accepted=[("k", JOB), ("k", JOB)], cancels=[(JOB, 409, f"job {JOB} is already failed, so")])),
        (CANCELLED_LOG, Answers(cancels=[(JOB, None, ""), (JOB, 409, f"job {JOB} is already cancelled, so")])),
        (CANCELLED_LOG, Answers(cancels=[(JOB, 200, ""), (JOB, 202, "")])),
    ],
)
def test_answers_that_were_true_break_no_rule(log: list[Recorded], answers: Answers) -> None:
    assert list(check_answers(log, answers)) == []


@pytest.mark.parametrize(
    ("log", "answers", "violation"),
    [
        (FAILED, Answers(accepted=[("k", OTHER)]), f"job {OTHER} was accepted and is not in the log"),
        (FAILED, Answers(accepted=[("q", JOB)]), f"job {JOB} was given for the idempotency key q, and has k"),
        (keyed("k", job_id=OTHER, after=FAILED), Answers(), "2 jobs were submitted under the idempotency key k"),
        (FAILED, Answers(cancels=[(JOB, 202, "")]), "was acknowledged with 202, and it ended with JobFailed"),
        (FAILED, Answers(cancels=[(JOB, 409, "already completed")]), "and it ended with JobFailed"),
        (CANCELLED_LOG, Answers(), "was recorded, and nobody has asked for it"),
    ],
)
def test_an_answer_that_was_not_true_is_found(log: list[Recorded], answers: Answers, violation: str) -> None:
    assert any(violation in one for one in check_answers(log, answers))


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text('["accepted", "k", "j"]\n["cancel", "j", null, ""]\n')
    assert read_journal(tmp_path / "journal") == Answers(accepted=[("k", "j")], cancels=[("j", None, "")])


def test_projections_and_files_are_looked_at_as_well(tmp_path: Path) -> None:
    store = write_log(tmp_path / "home")
    answers = Answers(cancels=[(CANCELLED_JOB, 200, "")])
    sound = check_installation(store, answers, is_over=False)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET priority = 7 WHERE job_id = ?", (COMPLETED_JOB,))
    for model in (tmp_path / "home" / "models").iterdir():
        (model / "model.json").write_bytes(b"[]")
    found = check_installation(store, answers, is_over=False)
    assert any(one.startswith(f"jobs of job {COMPLETED_JOB}: found ") for one in found)
    assert any("is damaged" in one for one in found)
    assert not any("jobs of job" in one or "is damaged" in one for one in sound)
