"""Who gets which job, and for how long it stays theirs."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from job_builders import BATCH, BROKEN, COMPLETED, CRASHED
from store_steps import Observer, SettableClock, cancel, change, claim, new_job_id, running_job, submit, with_cap

from ktrdr.jobs import decide
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import CancelOutcome, JobId
from ktrdr.jobs.refusals import LeaseLostError, UnknownJobError
from ktrdr.jobs.state import JobState, Status
from ktrdr.store import LEASE_SECONDS, Log, Reader, Store, leases


def _claimed(log: Log, kind: str) -> list[JobId]:
    states = iter(lambda: claim(log, kind=kind), None)
    return [state.job_id for state in states]


def _renew(log: Log, job_id: JobId, lease_epoch: int = 1) -> None:
    log.write(lambda transaction: leases.renew(transaction, job_id, lease_epoch))


def _report(log: Log, job_id: JobId, *progress: Any, first: int, lease_epoch: int = 1) -> JobState:
    return log.write(lambda transaction: leases.report_once(transaction, job_id, lease_epoch, progress, first=first))


def test_the_queue_is_ordered_by_priority_then_by_submission(log: Log) -> None:
    priorities = [0, 5, -3, 5, 0, 100, -3]
    submitted = [(priority, submit(log, priority=priority)) for priority in priorities]
    by_priority = sorted(submitted, key=lambda job: -job[0])  # a stable sort: equal ones stay in order
    assert _claimed(log, "local") == [job_id for _, job_id in by_priority]


@pytest.mark.parametrize(("kind", "targets"), [("local", {"local", "auto"}), ("host", {"host", "auto"})])
def test_a_worker_gets_the_jobs_for_its_kind_and_those_for_any(
    log: Log, reader: Reader, kind: str, targets: set[str]
) -> None:
    chance = random.Random(3)
    jobs = [(target, chance.randint(0, 2)) for target in ["local", "host", "auto"] * 6]
    submitted = [(target, priority, submit(log, target=target, priority=priority)) for target, priority in jobs]
    assert reader.has_job_for(kind, has_gpu=False)
    expected = [job_id for target, _, job_id in sorted(submitted, key=lambda job: -job[1]) if target in targets]
    assert _claimed(log, kind) == expected
    assert not reader.has_job_for(kind, has_gpu=False)


def test_a_job_that_comes_back_takes_its_old_place_in_the_queue(log: Log) -> None:
    first, second = running_job(log), submit(log)
    change(log, first, lambda state: decide.release(state, 1, message=""))
    assert _claimed(log, "local") == [first, second]


def test_a_claim_carries_the_worker_and_what_it_can_do(log: Log, reader: Reader) -> None:
    job_id = submit(log)
    claimant = Claimant(worker="w7", kind="host", capabilities={"a": 1}, numeric_profile={"b": 2})
    log.write(lambda transaction: leases.claim_next(transaction, claimant))
    claimed: Any = reader.job_events(job_id, limit=9)[-1].recorded
    assert (claimed.actor, claimed.event.worker, claimed.event.worker_kind) == ("worker:w7", "w7", "host")
    assert (claimed.event.capabilities, claimed.event.numeric_profile) == ({"a": 1}, {"b": 2})


@pytest.mark.parametrize("decision", ["cancelled", "completed", "failed", "running"])
def test_a_job_that_does_not_wait_is_never_claimed(log: Log, reader: Reader, decision: str) -> None:
    if decision == "cancelled":
        job_id = submit(log)
        cancel(log, job_id)
    else:
        job_id = running_job(log)
    if decision == "completed":
        change(log, job_id, lambda state: decide.complete(state, 1, COMPLETED))
    if decision == "failed":
        change(log, job_id, lambda state: decide.fail(state, 1, BROKEN))
    assert reader.job(job_id).status == decision
    assert claim(log) is None


def test_a_lease_that_is_renewed_in_time_is_kept(log: Log, observer: Observer) -> None:
    job_id = running_job(log)
    for _ in range(5):
        assert observer.look(after=LEASE_SECONDS - 1) == []
        _renew(log, job_id)


def test_a_lease_runs_out_after_its_time_and_not_before(log: Log, observer: Observer) -> None:
    job_id = running_job(log)
    assert observer.look(after=1) == []  # only now it is known
    assert observer.look(after=LEASE_SECONDS - 0.001) == []
    assert [state.job_id for state in observer.look(after=0.001)] == [job_id]
    assert observer.look(after=100) == []


def test_a_store_may_have_leases_of_another_length(store: Store, log: Log) -> None:
    observer = Observer(replace(store, lease_seconds=2), log)
    job_id = running_job(log)
    observer.look()
    assert [state.job_id for state in observer.look(after=2)] == [job_id]
    observer.close()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_by_an_hour_takes_nothing_from_anybody(
    log: Log, clock: SettableClock, observer: Observer, hours: int
) -> None:
    kept, lost = running_job(log), running_job(log)
    observer.look()
    clock.advance(hours * 3600)
    assert observer.look(after=1) == []
    _renew(log, kept)
    assert [state.job_id for state in observer.look(after=LEASE_SECONDS - 1)] == [lost]
    clock.advance(-hours * 3600)
    _renew(log, kept)
    assert observer.look(after=LEASE_SECONDS - 1) == []


def test_a_lease_that_is_renewed_between_the_look_and_the_act_is_kept(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    (seen,) = reader.renewals().values()
    _renew(log, job_id)
    state = log.write(lambda transaction: leases.expire(transaction, job_id, 1, seen))
    assert (state.status, reader.last_position()) == (Status.RUNNING, 2)


def test_of_two_observers_one_takes_the_lease_and_neither_minds(store: Store, log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    observers = [Observer(store, log) for _ in range(2)]
    for observer in observers:
        observer.look()
    assert [[state.job_id for state in observer.look(after=LEASE_SECONDS)] for observer in observers] == [[job_id], []]
    assert [event.type for event in reader.job_events(job_id, limit=9)][2:] == ["LeaseExpired", "JobRequeued"]
    for observer in observers:
        observer.close()


def test_a_lost_job_is_queued_again_until_its_attempts_are_spent(log: Log, observer: Observer) -> None:
    running_job(log, max_attempts=2)
    assert [state.status for state in observer.look_until_expiry()] == [Status.QUEUED]
    again = claim(log, worker="w2")
    assert again is not None
    assert (again.attempt, again.lease_epoch, again.worker) == (2, 2, "w2")
    assert [(state.status, state.failure_kind) for state in observer.look_until_expiry()] == [
        (Status.FAILED, "worker_lost")
    ]
    assert claim(log) is None


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(log: Log, observer: Observer) -> None:
    cancel(log, running_job(log))
    (state,) = observer.look_until_expiry()
    assert (state.status, state.cancel_outcome) == (Status.CANCELLED, CancelOutcome.WORKER_LOST)


def test_only_the_leases_that_ran_out_are_taken(log: Log, observer: Observer) -> None:
    lost = running_job(log)
    observer.look()
    kept = running_job(log)
    assert observer.look(after=10) == []
    assert [state.job_id for state in observer.look(after=10)] == [lost]
    _renew(log, kept)


def test_a_worker_that_was_cut_off_takes_its_attempt_up_again_unless_the_cap_is_reached(
    log: Log, observer: Observer
) -> None:
    job_id = running_job(log)
    observer.look_until_expiry()
    more_urgent = submit(log, priority=9)
    assert claim(log, worker="w2") is not None
    with_cap(log, {"*": 1})
    cut_off = Claimant(worker="w1", kind="local", capabilities={}, numeric_profile={})
    with pytest.raises(LeaseLostError, match="as many jobs of its share run as may run at once"):
        log.write(lambda transaction: leases.regain(transaction, job_id, 1, cut_off))
    change(log, more_urgent, lambda state: decide.complete(state, 1, COMPLETED))
    state = log.write(lambda transaction: leases.regain(transaction, job_id, 1, cut_off))
    assert (state.status, state.attempt, state.lease_epoch, state.attempts_spent) == (Status.RUNNING, 1, 2, 0)


@pytest.fixture
def taken_over(log: Log, observer: Observer) -> JobId:
    """A job that went from worker w1 (lease 1) to worker w2 (lease 2)."""
    job_id = running_job(log)
    observer.look_until_expiry()
    claim(log, worker="w2")
    return job_id


ZOMBIE = {
    "renew": _renew,
    "report": lambda log, job_id: _report(log, job_id, BATCH, first=0),
    "report more": lambda log, job_id: _report(log, job_id, BATCH, first=7),
    "complete": lambda log, job_id: change(log, job_id, lambda state: decide.complete(state, 1, COMPLETED)),
    "fail": lambda log, job_id: change(log, job_id, lambda state: decide.fail(state, 1, CRASHED)),
    "release": lambda log, job_id: change(log, job_id, lambda state: decide.release(state, 1, message="")),
    "end": lambda log, job_id: log.write(
        lambda transaction: leases.end_once(transaction, job_id, 1, lambda state: decide.complete(state, 1, COMPLETED))
    ),
}


@pytest.mark.parametrize("command", ZOMBIE)
def test_a_worker_that_lost_its_job_to_another_can_do_nothing_more_to_it(
    log: Log, reader: Reader, taken_over: JobId, command: str
) -> None:
    before = reader.job(taken_over)
    with pytest.raises(LeaseLostError, match=f"lease 1 of job {taken_over} is no longer held: lease 2 was given out"):
        ZOMBIE[command](log, taken_over)
    assert reader.job(taken_over) == before


@pytest.mark.parametrize("command", ZOMBIE)
def test_a_worker_whose_job_waits_again_can_do_nothing_more_to_it(log: Log, observer: Observer, command: str) -> None:
    job_id = running_job(log)
    observer.look_until_expiry()
    with pytest.raises(LeaseLostError, match=f"lease 1 of job {job_id} is no longer held: the job is queued"):
        ZOMBIE[command](log, job_id)


@pytest.mark.parametrize("command", ZOMBIE)
def test_a_worker_of_an_unknown_job_is_told_so(log: Log, command: str) -> None:
    with pytest.raises(UnknownJobError):
        ZOMBIE[command](log, new_job_id())
