"""Simulated workers: a process with slots, its attempts, and the child that trains.

Local and host workers are the same here but for their way to the service (`Beside` or `Connection`). A training is a
list of what it would say; its "weights" are the history of what made them, so that a wrong resumption shows in the
model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from simulation.checker import Violation
from simulation.world import Process

from host_worker.outbox import Batch, Outbox
from ktrdr.jobs import decide
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import (
    BatchProgressed,
    CancelOutcome,
    CheckpointSaved,
    EpochFinished,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobId,
    JobSubmitted,
    Json,
    ProgressEvent,
    StageFinished,
    StageStarted,
    TrainingResumed,
)
from ktrdr.jobs.refusals import MissingReportError, RefusalError
from ktrdr.jobs.state import JobState, Status
from ktrdr.jobs.workers import Beat, WorkerState
from ktrdr.worker.orders import usable_checkpoints

if TYPE_CHECKING:
    from simulation.service import Service

RENEW_SECONDS = 5.0
LOOK_SECONDS = 3.0
BEAT_SECONDS = 7.0
#: A child that has not stopped for so long after it was told to is killed.
KILL_SECONDS = 10.0
LARGEST_REPORT = 4
BATCHES = 1
#: What a checkpoint is called, before its weights.
_CHECKPOINT = "checkpoint "


class Worker(Process):
    """One worker process after another on one machine."""

    def __init__(self, service: Service, name: str, *, kind: str, has_gpu: bool, slots: int) -> None:
        super().__init__(service.world, name)
        self.service = service
        self.kind = kind
        self.slots = slots
        self.has_gpu = has_gpu
        self.way = service.way_of(self)
        self.attempts: list[Attempt] = []
        self.claimant = self._claimant()
        self._state = WorkerState.ALIVE
        self._begin()

    def _claimant(self) -> Claimant:
        capabilities = {"device_type": "cuda" if self.has_gpu else "cpu"}
        return Claimant(
            worker=f"{self.name}-{self.life}", kind=self.kind, capabilities=capabilities, numeric_profile={}
        )

    def _begin(self) -> None:
        self._state = WorkerState.ALIVE
        self._beat()
        self._ask()

    def crash(self) -> None:
        """kill -9, or the machine's power; its children go with it."""
        for attempt in self.attempts:
            attempt.child.die()
        self.attempts = []
        self.die()

    def start(self) -> None:
        super().start()
        self.claimant = self._claimant()
        self.world.tell(self.name, f"starts as {self.claimant.worker}")
        self._begin()

    def drain(self) -> None:
        """SIGTERM: gives its jobs back and ends."""
        if self._state is WorkerState.ALIVE:
            self.world.tell(self.name, "is told to end")
            self._state = WorkerState.DRAINING
            for attempt in self.attempts:
                attempt.child.tell_to_stop(for_good=False)
            self._leave_if_done()

    def _beat(self) -> None:
        said = Beat(
            name=self.claimant.worker,
            kind=self.kind,
            state=self._state,
            host=self.name,
            pid=self.life,
            version="0",
            slots=self.slots,
            capabilities=self.claimant.capabilities,
        )
        self.way.call(lambda: self.service.backend.beat(said), lambda _: None, again=False)
        if self._state is not WorkerState.STOPPED:
            self.after(BEAT_SECONDS, self._beat)

    def _ask(self) -> None:
        if self._state is not WorkerState.ALIVE:
            return
        if len(self.attempts) < self.slots:
            claimant, claim_id = self.claimant, f"{self.claimant.worker}/{self.service.unique()}"
            self.way.call(lambda: self.service.backend.claim(claimant, claim_id), self._claimed)
        else:
            self.after(3.0, self._ask)

    def _claimed(self, state: JobState | RefusalError | None) -> None:
        if isinstance(state, JobState):
            self.world.tell(self.name, f"has {self.service.short(state.job_id)} under lease {state.lease_epoch}")
            attempt = Attempt(self, state)
            self.attempts.append(attempt)
            if self._state is WorkerState.DRAINING:
                attempt.child.tell_to_stop(for_good=False)
        self.after(self.world.chance.uniform(1.0, 6.0), self._ask)

    def done_with(self, attempt: Attempt) -> None:
        attempt.child.die()
        self.attempts.remove(attempt)
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._state is WorkerState.DRAINING and not self.attempts:
            self._state = WorkerState.STOPPED
            self._beat()
            self.world.tell(self.name, "has ended")
            self.die()
            self.world.after(self.world.chance.uniform(0.1, 10.0), self.start_again)

    def start_again(self) -> None:
        if not self.is_alive:
            self.start()


class Attempt:
    """One attempt at one job, under its lease or, after a long cut, under several."""

    def __init__(self, worker: Worker, state: JobState) -> None:
        self.worker = worker
        self.job_id: JobId = state.job_id
        self.root = self.epoch = state.lease_epoch
        #: All that the child has said, for the checker.
        self._produced = worker.service.checker.begin(state.job_id, self.root)
        self._outbox = Outbox()
        self._end: Callable[[JobState], Sequence[JobEvent]] | None = None
        self._is_over = False
        self._is_sending = False
        self._is_ending = False
        self._is_regaining = False
        self._sees_cancellation = False
        self.child = Child(self, state)
        self._keep()
        self._look()

    # What the child says.

    def heard(self, said: ProgressEvent) -> None:
        if not self._is_over:
            self._produced.append(said)
            self._outbox.put(said)
            self._hand_in()

    def ended(self, how: Ended) -> None:
        """The child is done, in one of four ways, or dead."""
        if self._end is None and not self._is_over:
            self.worker.world.tell(self.worker.name, f"hears that its child {how.text}")
            self._end = how.decision(self)
            self._hand_in()

    # What the service hears, one report at a time, the end last.

    def _hand_in(self) -> None:
        if self._is_sending or self._is_regaining or self._is_over:
            return
        epoch, backend = self.epoch, self.worker.service.backend
        batch = self._outbox.batch(LARGEST_REPORT)
        if batch is not None:
            self._is_sending = True
            self.worker.way.call(
                lambda: backend.report_once(self.job_id, epoch, batch.events, batch.first),
                lambda answer: self._handed_in(answer, epoch, batch),
            )
        elif (end := self._end) is not None:
            self._is_sending = self._is_ending = True
            self.worker.way.call(
                lambda: backend.end_once(self.job_id, epoch, end), lambda answer: self._handed_in(answer, epoch, None)
            )

    def _handed_in(self, answer: JobState | RefusalError, epoch: int, batch: Batch | None) -> None:
        self._is_sending = self._is_ending = False
        if isinstance(answer, RefusalError):
            self._refused(answer, epoch)
        elif batch is None:
            self._over(f"is done: the job is {answer.status}")
        else:
            self._outbox.acknowledge(batch)
            self.worker.service.checker.acknowledged(self.job_id, self.root, self._outbox.acknowledged)
        self._hand_in()

    # The lease.

    def _keep(self) -> None:
        if not self._is_over:
            epoch, backend = self.epoch, self.worker.service.backend

            def renew() -> None:
                backend.renew(self.job_id, epoch)
                self.worker.service.checker.renewed(self.job_id, epoch)

            self.worker.way.call(renew, lambda answer: self._refused(answer, epoch), again=False)
            self.worker.after(RENEW_SECONDS, self._keep)

    def _look(self) -> None:
        """Whether a cancellation was requested."""
        if not self._is_over and not self._sees_cancellation:
            epoch, backend = self.epoch, self.worker.service.backend

            def look() -> bool:
                state = backend.state(self.job_id)
                decide.require_lease(state, epoch)
                return state.status is Status.CANCELLING

            self.worker.way.call(look, lambda answer: self._looked(answer, epoch), again=False)
            self.worker.after(LOOK_SECONDS, self._look)

    def _looked(self, answer: bool | RefusalError, epoch: int) -> None:
        self._refused(answer, epoch)
        if answer is True and not self._sees_cancellation and not self._is_over:
            self._sees_cancellation = True
            self.child.tell_to_stop(for_good=True)

    def _refused(self, answer: Any, epoch: int) -> None:
        """If an answer says that the lease is lost: perhaps nobody else has the job yet."""
        if isinstance(answer, MissingReportError):
            raise Violation(f"what the worker had acknowledged is missing: {answer}")
        if not isinstance(answer, RefusalError) or epoch != self.epoch or self._is_regaining or self._is_over:
            return
        if self._is_ending:
            return  # most likely because the end is recorded; the answer to that will say
        self._is_regaining = True
        backend, claimant = self.worker.service.backend, self.worker.claimant
        self.worker.way.call(lambda: backend.regain(self.job_id, epoch, claimant), self._regained)

    def _regained(self, answer: JobState | RefusalError) -> None:
        self._is_regaining = False
        if self._is_over:
            return
        if isinstance(answer, RefusalError):
            self.worker.service.checker.given_up(self.job_id, self.epoch)
            self._over(f"gives up: {answer}")
        else:
            self.epoch = answer.lease_epoch
            self.worker.world.tell(self.worker.name, f"goes on under lease {self.epoch}")
            self._hand_in()

    def _over(self, text: str) -> None:
        self._is_over = True
        if self.worker.world.is_told:
            self.worker.world.tell(self.worker.name, f"{self.worker.service.short(self.job_id)}: {text}")
        self.worker.done_with(self)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    text: str
    decision: Callable[[Attempt], Callable[[JobState], Sequence[JobEvent]]]


def trained(weights: str, epochs: int) -> Ended:
    def decision(attempt: Attempt) -> Callable[[JobState], Sequence[JobEvent]]:
        completed = JobCompleted(
            model_digest=f"model {weights}", weights_digest=weights, metrics={"by": _by(attempt)}, symbol_metrics={},
            epochs_trained=epochs, best_epoch=epochs,
        )  # fmt: skip
        return lambda state: decide.complete(state, attempt.epoch, completed)

    return Ended("has trained a model", decision)


def broken(kind: str, *, retryable: bool) -> Ended:
    def decision(attempt: Attempt) -> Callable[[JobState], Sequence[JobEvent]]:
        failed = JobFailed(kind=kind, message=_by(attempt), where="", fix="", retryable=retryable)
        return lambda state: decide.fail(state, attempt.epoch, failed)

    return Ended(f"broke ({kind})", decision)


def stopped(outcome: CancelOutcome) -> Ended:
    def decision(attempt: Attempt) -> Callable[[JobState], Sequence[JobEvent]]:
        return lambda state: decide.acknowledge_cancellation(
            state, attempt.epoch, outcome=outcome, batches_after_request=1, where=_by(attempt)
        )

    return Ended(f"stopped ({outcome})", decision)


PAUSED = Ended("paused", lambda attempt: lambda state: decide.release(state, attempt.epoch, message=_by(attempt)))


def _by(attempt: Attempt) -> str:
    """Who says so, for the checker: the attempt by the lease that it began under."""
    return f"attempt {attempt.root}"


class Child(Process):
    """The job process: says what it does, step by step, and saves checkpoints."""

    def __init__(self, attempt: Attempt, state: JobState) -> None:
        super().__init__(attempt.worker.world, f"{attempt.worker.name}/child")
        self._attempt = attempt
        self._service = attempt.worker.service
        self._submitted = self._service.checker.books[state.job_id].submitted
        self._checkpoints = usable_checkpoints(self._submitted, state.checkpoints)
        self._epochs, self._every = self._service.training(state.job_id)
        self._weights = f"{state.seed}"
        self._epoch = self._saved = 0
        self._stop: Ended | None = None
        self._steps = self._train()
        self.after(0.1, self._step)

    def tell_to_stop(self, *, for_good: bool) -> None:
        """Cancels the training, or has it pause; it may take its time, but not for ever."""
        if self._stop is None or for_good:
            self._stop = stopped(CancelOutcome.STOPPED) if for_good else PAUSED
            killed = stopped(CancelOutcome.KILLED) if for_good else PAUSED
            self._attempt.worker.after(KILL_SECONDS, self._end, killed)

    def crash(self) -> None:
        if self.is_alive:
            self._end(broken("process_died", retryable=True))

    def _end(self, how: Ended) -> None:
        if self.is_alive:
            self.die()
            self._attempt.worker.now(self._attempt.ended, how)

    def _step(self) -> None:
        chance = self.world.chance
        if self._stop is not None:
            if self._saved < self._epoch:
                self._say(self._save())
            self._end(self._stop)
            return
        said = next(self._steps, None)
        if said is None:
            self._end(self._stop or trained(self._weights, self._epochs))
            return
        self._say(said)
        if (trouble := self._service.trouble_in_training()) is not None:
            self._end(trouble)
        else:
            self.after(chance.uniform(20.0, 40.0) if chance.random() < 0.02 else chance.uniform(0.2, 3.0), self._step)

    def _say(self, said: ProgressEvent) -> None:
        self._attempt.worker.now(self._attempt.heard, said)

    def _train(self) -> Iterator[ProgressEvent]:
        yield StageStarted(name="prepare", number=1, total=2)
        yield self._finished("prepare", 1)
        yield StageStarted(name="train", number=2, total=2)
        if self._checkpoints:
            resumed = self._resume()
            if resumed is None:
                return
            yield resumed
        while self._epoch < self._epochs:
            for batch in range(1, BATCHES + 1):
                yield BatchProgressed(epoch=self._epoch + 1, epochs=self._epochs, batch=batch, batches=BATCHES)
            self._epoch += 1
            self._weights = trained_on(self._weights, self._epoch)
            yield EpochFinished(
                epoch=self._epoch, epochs=self._epochs, train_loss=1.0, validation_loss=1.0, train_accuracy=None,
                validation_accuracy=None, learning_rate=0.1, seconds=self._unique(), weights_digest=self._weights,
                tensors=self._weights[:8],
            )  # fmt: skip
            if self._epoch % self._every == 0:
                yield self._save()
        yield self._finished("train", 2)

    def _finished(self, name: str, number: int) -> StageFinished:
        return StageFinished(name=name, number=number, total=2, seconds=self._unique(), facts={})

    def _unique(self) -> float:
        """A duration that no other event has, so that an event of another attempt is never taken for one of this."""
        return float(self._service.unique())

    def _resume(self) -> TrainingResumed | None:
        """Goes on from the best checkpoint that can be read; None if the one that it forks from cannot."""
        passed_over: list[Json] = []
        for checkpoint in self._checkpoints:
            content = self._service.files.get(checkpoint["digest"])
            if content is not None:
                self._epoch, self._weights = content
                self._saved = self._epoch
                return TrainingResumed(epoch=self._epoch, digest=checkpoint["digest"], passed_over=tuple(passed_over))
            if checkpoint == self._submitted.forked_from:
                self._stop = broken("fork_origin_lost", retryable=False)
                return None
            passed_over.append({**checkpoint, "problem": "torn"})
        return TrainingResumed(epoch=0, digest=None, passed_over=tuple(passed_over))

    def _save(self) -> CheckpointSaved:
        digest = _CHECKPOINT + self._weights
        self._service.files[digest] = (self._epoch, self._weights)
        self._saved = self._epoch
        return CheckpointSaved(epoch=self._epoch, digest=digest, bytes=len(digest))


def trained_on(weights: str, epoch: int) -> str:
    return f"{weights}.{epoch}"


def undisturbed(submitted: JobSubmitted, epochs: int) -> str:
    """The weights of a training that nothing disturbs."""
    begun, weights = 0, f"{submitted.seed}"
    if (fork := submitted.forked_from) is not None:
        begun, weights = fork["epoch"], fork["digest"].removeprefix(_CHECKPOINT)
    return reduce(trained_on, range(begun + 1, epochs + 1), weights)
