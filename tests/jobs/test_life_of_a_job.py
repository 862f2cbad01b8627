"""Random commands against one job, decided and folded in memory: what no order of them may ever bring about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from job_builders import (
    BATCH,
    BROKEN,
    CHECKPOINT,
    CLAIMANT,
    COMPLETED,
    CRASHED,
    EPOCH,
    JOB,
    RESUMED,
    STARTED,
    SUBMITTED,
    record,
)

from ktrdr.jobs import decide
from ktrdr.jobs.events import (
    CancellationRequested,
    CancelOutcome,
    JobClaimed,
    JobEvent,
    JobRequeued,
    ProgressEvent,
    Recorded,
    RequeueReason,
    TerminalEvent,
)
from ktrdr.jobs.refusals import RefusalError
from ktrdr.jobs.state import NO_JOB, JobState, Status, fold

#: How far behind (or ahead of) the lease given out last a worker's lease is.
staleness = st.sampled_from([0, 0, 0, 0, 1, 2, -1])


class LifeOfAJob(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state: JobState = replace(NO_JOB, job_id=JOB)
        self.history: list[Recorded] = []

    def command(self, decision: Any, *arguments: Any, **named: Any) -> None:
        before = self.state
        try:
            events: tuple[JobEvent, ...] = decision(before, *arguments, **named)
        except RefusalError:
            return
        recorded = record(events, before)
        self.state = fold(recorded, before)
        self.history += recorded
        if before.status.is_final:
            assert recorded == [], "something happened after the end"

    def work(self, decision: Any, behind: int, *arguments: Any, **named: Any) -> None:
        """A worker's command; it must be refused unless the worker holds the lease."""
        holds, count = behind == 0 and self.state.worker is not None, len(self.history)
        self.command(decision, self.state.lease_epoch - behind, *arguments, **named)
        assert holds or len(self.history) == count, "a worker without the lease changed the job"

    @initialize(max_attempts=st.integers(1, 3))
    def choose(self, max_attempts: int) -> None:
        self.submitted = replace(SUBMITTED, max_attempts=max_attempts)

    @rule()
    def submit(self) -> None:
        self.command(decide.submit, self.submitted)

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> None:
        claimable = self.state.status is Status.QUEUED and self.state.version > 0
        count = len(self.history)
        self.command(decide.claim, replace(CLAIMANT, worker=worker))
        assert (len(self.history) > count) == claimable

    @rule(worker=st.sampled_from(["w1", "w2"]), behind=staleness, may_run=st.booleans())
    def regain(self, worker: str, behind: int, may_run: bool) -> None:
        last = self.history[-1].event if self.history else None
        is_lost = isinstance(last, JobRequeued) and last.reason is RequeueReason.LEASE_EXPIRED
        count = len(self.history)
        lease = self.state.lease_epoch - behind
        self.command(decide.regain, lease, replace(CLAIMANT, worker=worker), may_run=may_run)
        assert (len(self.history) > count) == (is_lost and behind == 0 and may_run)

    @rule()
    def give_up(self) -> None:
        queued = self.state.status is Status.QUEUED and self.state.version > 0
        self.command(decide.give_up, kind="no_gpu", message="", fix="")
        assert (self.state.status is Status.FAILED) >= queued

    @rule(
        behind=staleness, progress=st.lists(st.sampled_from([STARTED, BATCH, EPOCH, CHECKPOINT, RESUMED]), max_size=3)
    )
    def report(self, behind: int, progress: list[Any]) -> None:
        self.work(decide.report, behind, progress)

    @rule(behind=staleness)
    def complete(self, behind: int) -> None:
        self.work(decide.complete, behind, COMPLETED)

    @rule(behind=staleness, failed=st.sampled_from([BROKEN, CRASHED, CRASHED]))
    def fail(self, behind: int, failed: Any) -> None:
        self.work(decide.fail, behind, failed)

    @rule(behind=staleness, outcome=st.sampled_from(CancelOutcome))
    def acknowledge(self, behind: int, outcome: CancelOutcome) -> None:
        self.work(decide.acknowledge_cancellation, behind, outcome=outcome, batches_after_request=1, where="")

    @rule(behind=staleness)
    def release(self, behind: int) -> None:
        self.work(decide.release, behind, message="told to stop")

    @rule(behind=staleness)
    def expire(self, behind: int) -> None:
        self.work(decide.expire_lease, behind)

    @rule()
    def cancel(self) -> None:
        self.command(decide.request_cancellation, by="client:anna", reason="")

    @invariant()
    def versions_have_no_gap(self) -> None:
        assert [recorded.version for recorded in self.history] == list(range(1, len(self.history) + 1))

    @invariant()
    def there_is_at_most_one_end_and_it_is_the_last_event(self) -> None:
        ends = [recorded.version for recorded in self.history if isinstance(recorded.event, TerminalEvent)]
        assert ends == ([len(self.history)] if self.state.status.is_final else [])

    @invariant()
    def lease_epochs_rise_and_attempts_stay_within_the_limit(self) -> None:
        claims = [recorded.event for recorded in self.history if isinstance(recorded.event, JobClaimed)]
        assert [claimed.lease_epoch for claimed in claims] == list(range(1, len(claims) + 1))
        attempts = [claimed.attempt for claimed in claims]
        assert attempts == sorted(attempts)
        assert all(attempt <= self.submitted.max_attempts for attempt in attempts)
        assert self.state.attempts_spent <= self.submitted.max_attempts

    @invariant()
    def once_cancellation_was_requested_the_job_can_only_end_cancelled(self) -> None:
        if any(isinstance(recorded.event, CancellationRequested) for recorded in self.history):
            assert self.state.status in (Status.CANCELLING, Status.CANCELLED)

    @invariant()
    def spent_attempts_are_those_that_ended_in_the_queue_and_were_not_taken_up_again(self) -> None:
        events = [recorded.event for recorded in self.history]
        lost = [one for one in events if isinstance(one, JobRequeued) and one.reason is not RequeueReason.RELEASED]
        regained = [one for one in events if isinstance(one, JobClaimed) and one.continues is not None]
        assert self.state.attempts_spent == len(lost) - len(regained)

    @invariant()
    def reports_are_counted_from_the_beginning_of_the_attempt(self) -> None:
        count = 0
        for recorded in self.history:
            if isinstance(recorded.event, JobClaimed) and recorded.event.continues is None:
                count = 0
            count += isinstance(recorded.event, ProgressEvent)
        assert self.state.reported == count

    @invariant()
    def someone_holds_the_lease_exactly_while_the_job_runs(self) -> None:
        assert (self.state.worker is not None) == (self.state.status in (Status.RUNNING, Status.CANCELLING))

    @invariant()
    def folding_from_scratch_gives_the_same_state(self) -> None:
        assert fold(self.history, replace(NO_JOB, job_id=JOB)) == self.state


TestLifeOfAJob = LifeOfAJob.TestCase
TestLifeOfAJob.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
