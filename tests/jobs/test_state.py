"""`evolve` folds any history and `fold` may stop and go on anywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_builders import (
    BATCH,
    BROKEN,
    CLAIMED,
    COMPLETED,
    CRASHED,
    EPOCH,
    EXPIRED,
    HISTORIES,
    NOON,
    REQUEUED,
    STARTED,
    SUBMITTED,
    after,
    record,
)
from job_strategies import events

from ktrdr.jobs.events import JobEvent, RequeueReason
from ktrdr.jobs.state import NO_JOB, Status, fold, state_data, state_from_data

histories = st.lists(events(), max_size=8)


@given(histories)
def test_every_sequence_of_events_can_be_folded_sensible_or_not(history: list[JobEvent]) -> None:
    state = fold(record(history))
    assert state.version == len(history)
    assert state.position == len(history)


@given(histories, st.integers(0, 8))
def test_folding_in_two_parts_gives_what_folding_at_once_gives(history: list[JobEvent], cut: int) -> None:
    recorded = record(history)
    assert fold(recorded[cut:], fold(recorded[:cut])) == fold(recorded)


@given(histories)
def test_a_state_survives_the_journey_through_json(history: list[JobEvent]) -> None:
    state = fold(record(history))
    again = state_from_data(json.loads(json.dumps(state_data(state))))
    assert again == state
    assert (type(again.status), type(again.target)) == (type(state.status), type(state.target))


@given(histories)
def test_folding_changes_no_state_that_was_there_before(history: list[JobEvent]) -> None:
    before = after(SUBMITTED, CLAIMED)
    kept = state_data(before)
    fold(record(history, before), before)
    assert state_data(before) == kept


@pytest.mark.parametrize("status", [*Status])
def test_every_status_is_reached(status: Status) -> None:
    assert after(*HISTORIES[status]).status is status
    assert status.is_final == (status in ("completed", "failed", "cancelled"))


def test_no_job_is_the_fold_of_nothing() -> None:
    assert fold([]) == NO_JOB


def test_a_new_attempt_starts_its_progress_again_and_keeps_when_the_job_first_started() -> None:
    state = after(SUBMITTED, CLAIMED, STARTED, EPOCH, EXPIRED, REQUEUED, replace(CLAIMED, worker="w2", lease_epoch=2))
    progress = (state.stage, state.stage_number, state.epoch, state.batches, state.train_loss)
    assert progress == (None, 0, 0, 0, None)
    assert (state.worker, state.lease_epoch, state.started_at) == ("w2", 2, NOON)


def test_the_last_failure_is_shown_while_the_job_waits_again_and_forgotten_when_it_succeeds() -> None:
    waiting = after(SUBMITTED, CLAIMED, EXPIRED, REQUEUED)
    assert (waiting.failure_kind, waiting.attempts_spent, waiting.worker) == ("lease_expired", 1, None)
    done = after(SUBMITTED, CLAIMED, EXPIRED, REQUEUED, replace(CLAIMED, lease_epoch=2), COMPLETED)
    assert (done.failure_kind, done.failure_message) == (None, None)


def test_a_released_attempt_is_not_spent() -> None:
    state = after(SUBMITTED, CLAIMED, replace(REQUEUED, reason=RequeueReason.RELEASED))
    assert (state.attempts_spent, state.failure_kind, state.status) == (0, None, Status.QUEUED)


@pytest.mark.parametrize("end", [COMPLETED, BROKEN, CRASHED, EXPIRED, REQUEUED], ids=lambda end: type(end).__name__)
def test_nobody_works_on_a_job_after_its_end_or_its_return_to_the_queue(end: Any) -> None:
    assert after(SUBMITTED, CLAIMED, BATCH, end).worker is None
