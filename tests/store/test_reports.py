"""What a worker reports is recorded once, whatever is sent again; so is the end of its attempt."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from job_builders import BATCH, BROKEN, CHECKPOINT, COMPLETED, EPOCH, STARTED
from store_steps import cancel, change, claim, running_job

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId
from ktrdr.jobs.refusals import LeaseLostError, MissingReportError
from ktrdr.jobs.state import JobState, Status
from ktrdr.store import Log, Reader, leases

PROGRESS = [STARTED, BATCH, replace(BATCH, batch=6), EPOCH, CHECKPOINT]


def _report(log: Log, job_id: JobId, progress: list[Any], first: int, lease_epoch: int = 1) -> JobState:
    return log.write(lambda transaction: leases.report_once(transaction, job_id, lease_epoch, progress, first=first))


def _recorded(reader: Reader, job_id: JobId, *, after: int = 2) -> list[Any]:
    return [row.recorded.event for row in reader.job_events(job_id, limit=100)][after:]


@pytest.mark.parametrize(
    "sent",
    [
        [(0, 5)],
        [(0, 2), (2, 5)],
        [(0, 2), (0, 2), (2, 5)],
        [(0, 2), (0, 5)],
        [(0, 3), (1, 2), (1, 5), (0, 5)],
        [(0, 0), (0, 5), (5, 5), (2, 2)],
    ],
)
def test_progress_that_is_sent_again_is_recorded_once(log: Log, reader: Reader, sent: list[tuple[int, int]]) -> None:
    job_id = running_job(log)
    for first, end in sent:
        state = _report(log, job_id, PROGRESS[first:end], first)
        assert state == reader.job(job_id)
    assert _recorded(reader, job_id) == PROGRESS


def test_any_uploads_that_overlap_give_the_progress_in_order(log: Log, reader: Reader) -> None:
    chance = random.Random(11)
    progress = [replace(BATCH, batch=number) for number in range(60)]
    job_id, received = running_job(log), 0
    while received < len(progress):
        first = chance.randint(0, received)
        end = chance.randint(first, min(len(progress), first + 9))
        _report(log, job_id, progress[first:end], first)
        received = max(received, end)
    assert _recorded(reader, job_id) == progress


@pytest.mark.parametrize(("received", "first"), [(0, 1), (2, 4)])
def test_a_gap_in_what_is_sent_is_refused(log: Log, reader: Reader, received: int, first: int) -> None:
    job_id = running_job(log)
    _report(log, job_id, PROGRESS[:received], 0)
    message = f"event {received} of this attempt was never received, so event {first} cannot follow"
    with pytest.raises(MissingReportError, match=message):
        _report(log, job_id, PROGRESS[first:], first)
    assert _recorded(reader, job_id) == PROGRESS[:received]


def test_each_attempt_numbers_its_reports_from_the_start(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    _report(log, job_id, [STARTED, BATCH], 0)
    change(log, job_id, lambda state: decide.release(state, 1, message=""))
    claim(log)
    _report(log, job_id, [STARTED], 0, lease_epoch=2)
    assert _recorded(reader, job_id, after=6) == [STARTED]


def test_what_was_reported_before_the_end_and_is_sent_again_after_it_is_refused(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    _report(log, job_id, PROGRESS, 0)
    change(log, job_id, lambda state: decide.complete(state, 1, COMPLETED))
    with pytest.raises(LeaseLostError, match="the job is completed"):
        _report(log, job_id, PROGRESS, 0)
    assert _recorded(reader, job_id) == [*PROGRESS, COMPLETED]


def _end(log: Log, job_id: JobId, decision: Any, *arguments: Any, lease_epoch: int = 1) -> JobState:
    return log.write(
        lambda transaction: leases.end_once(
            transaction, job_id, lease_epoch, lambda state: decision(state, lease_epoch, *arguments)
        )
    )


def test_an_end_that_is_sent_again_changes_nothing_and_is_answered_alike(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    answers = [_end(log, job_id, decide.complete, COMPLETED) for _ in range(3)]
    assert answers == [reader.job(job_id)] * 3
    assert _recorded(reader, job_id) == [COMPLETED]


def test_a_worker_that_finished_too_late_hears_that_the_job_was_cancelled(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    cancel(log, job_id)
    assert _end(log, job_id, decide.complete, COMPLETED).status is Status.CANCELLED
    assert _end(log, job_id, decide.fail, BROKEN).status is Status.CANCELLED
    assert reader.job(job_id).version == 4


def test_the_end_of_an_attempt_that_another_one_followed_is_refused(log: Log) -> None:
    job_id = running_job(log)
    change(log, job_id, lambda state: decide.release(state, 1, message=""))
    claim(log)
    _end(log, job_id, decide.complete, COMPLETED, lease_epoch=2)
    with pytest.raises(LeaseLostError, match="lease 1"):
        _end(log, job_id, decide.complete, COMPLETED)
