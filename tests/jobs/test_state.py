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
    CHECKPOINT,
    CLAIMED,
    COMPLETED,
    CRASHED,
    EPOCH,
    EXPIRED,
    HISTORIES,
    JOB,
    NOON,
    REQUEUED,
    RESUMED,
    STARTED,
    SUBMITTED,
    after,
    record,
)
from job_strategies import events

from ktrdr.jobs.events import JobEvent, Relation, RequeueReason
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
    for name in ("status", "target", "relation", "symbols", "timeframes", "checkpoints"):
        assert type(getattr(again, name)) is type(getattr(state, name)), name


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


def _saved(epoch: int) -> Any:
    return replace(CHECKPOINT, epoch=epoch, digest=f"{epoch}" * 64)


def _epochs(*events: Any) -> list[int]:
    return [one["epoch"] for one in after(SUBMITTED, CLAIMED, *events).checkpoints]


def test_the_newest_checkpoints_are_remembered_newest_first() -> None:
    assert _epochs() == []
    assert _epochs(*map(_saved, range(1, 3))) == [2, 1]
    assert _epochs(*map(_saved, range(1, 6))) == [5, 4, 3]
    assert after(SUBMITTED, CLAIMED, CHECKPOINT).checkpoints == ({"epoch": 1, "digest": "d" * 64},)


def test_a_checkpoint_that_is_saved_again_pushes_out_none_to_fall_back_on() -> None:
    assert _epochs(_saved(1), _saved(2), _saved(3), _saved(2), _saved(3)) == [3, 2, 1]


def test_checkpoints_outlive_the_attempt_that_saved_them() -> None:
    assert _epochs(_saved(1), EXPIRED, REQUEUED, replace(CLAIMED, lease_epoch=2), _saved(2)) == [2, 1]


def test_a_job_may_begin_with_a_checkpoint_of_another() -> None:
    given = {"epoch": 4, "digest": "4" * 64}
    submitted = replace(SUBMITTED, parent=JOB, relation=Relation.RETRY, starts_from=given)
    state = after(submitted, CLAIMED, _saved(5))
    assert state.checkpoints == ({"epoch": 5, "digest": "5" * 64}, given)
    assert (state.parent, state.relation) == (JOB, Relation.RETRY)


def test_a_fork_remembers_its_own_checkpoints_alone() -> None:
    fork = replace(SUBMITTED, relation=Relation.FORK, forked_from={"epoch": 4, "digest": "4" * 64})
    assert after(fork, CLAIMED).checkpoints == ()


def test_an_attempt_that_resumes_is_as_far_as_its_checkpoint_and_the_next_one_begins_anew() -> None:
    resumed = after(SUBMITTED, CLAIMED, replace(RESUMED, epoch=7))
    assert (resumed.resumed_from, resumed.epoch) == (7, 7)
    anew = after(SUBMITTED, CLAIMED, RESUMED, EXPIRED, REQUEUED, replace(CLAIMED, lease_epoch=2))
    assert (anew.resumed_from, anew.epoch) == (0, 0)


def test_an_attempt_that_is_taken_up_again_is_as_far_as_it_was() -> None:
    lost = [SUBMITTED, CLAIMED, RESUMED, STARTED, EPOCH, EXPIRED, REQUEUED]
    before, state = after(*lost[:5]), after(*lost, replace(CLAIMED, lease_epoch=2, continues=1))
    assert state == replace(
        before, version=8, position=8, lease_epoch=2, continues=1, lost_lease=1, attempts_spent=0, failure_kind=None
    )
