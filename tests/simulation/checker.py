"""What must hold after every step, however the world behaves. Reads the log as anyone could, and asks no actor.

It keeps books of its own from the events, in its own words, so that a mistake in the core does not hide itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from simulation.backends import Backend
from simulation.world import World

from ktrdr.jobs.events import (
    CancellationRequested,
    CheckpointSaved,
    JobCancelled,
    JobClaimed,
    JobCompleted,
    JobFailed,
    JobId,
    JobRequeued,
    JobSubmitted,
    LeaseExpired,
    ProgressEvent,
    Recorded,
    RequeueReason,
    Target,
    TrainingResumed,
)
from ktrdr.jobs.queue import Rules
from ktrdr.jobs.service.subjects import is_subject_id
from ktrdr.jobs.state import JobState, evolve, no_job

#: Seconds without a renewal after which a lease may be taken.
PATIENCE = 15.0


class Violation(Exception):  # noqa: N818 - what was violated, not an error of the program
    """Something happened that must never happen."""


@dataclass
class Book:
    """One job, as the log tells it."""

    submitted: JobSubmitted
    submitted_at: int
    last: Recorded
    state: JobState
    #: The open lease and whose it is; 0 while no one holds one.
    lease: int = 0
    worker: str = ""
    #: The lease under which the attempt began.
    root: int = 0
    last_lease: int = 0
    #: The lease whose expiry put the job into the queue; 0 if something else did.
    lost: int = 0
    spent: int = 0
    request: int = 0
    has_ended: bool = False
    #: Digests of checkpoints by epoch that may be gone on from.
    announced: dict[str, int] = field(default_factory=dict)


class Checker:
    def __init__(
        self, world: World, backend: Backend, gpu_workers: Sequence[str], hear: Callable[[Recorded], None]
    ) -> None:
        """`hear` is given everything that is recorded, once it was checked."""
        self._world = world
        self._backend = backend
        self._hear = hear
        self._expected_weights: dict[JobId, str] = {}
        self._gpu_workers = gpu_workers
        self.rules = Rules()
        self.books: dict[JobId, Book] = {}
        self._log: list[Recorded] = []
        #: All that attempts have said, and how much of it is in the log; by job and the attempt's first lease.
        self._produced: dict[tuple[JobId, int], list[ProgressEvent]] = {}
        self._recorded: dict[tuple[JobId, int], int] = {}
        self._alive_at: dict[tuple[JobId, int], float] = {}
        #: How many jobs have ended.
        self.ended = 0

    # What the actors tell.

    def expect(self, job_id: JobId, weights: str) -> None:
        """A job will be submitted; these are the weights of its training if nothing disturbs it."""
        self._expected_weights[job_id] = weights

    def begin(self, job_id: JobId, lease: int) -> list[ProgressEvent]:
        return self._produced.setdefault((job_id, lease), [])

    def acknowledged(self, job_id: JobId, root: int, count: int) -> None:
        """A worker was told that so many of its events are recorded."""
        self.read()
        _require(self._recorded.get((job_id, root), 0) >= count, "an acknowledged event is not in the log")

    def renewed(self, job_id: JobId, lease: int) -> None:
        self.read()
        book = self.books[job_id]
        _require(book.lease == lease, f"lease {lease} was renewed while lease {book.lease} was held")
        self._alive_at[job_id, lease] = self._world.now

    def found_alive(self, job_id: JobId, lease: int, watched_since: float, most: float) -> None:
        """A scheduler that has watched without a break leaves a lease alone."""
        silent = self._world.now - max(self._alive_at.get((job_id, lease), self._world.now), watched_since)
        _require(silent <= most, f"lease {lease} of a dead worker was left alone for {silent:.3f} s")

    def given_up(self, job_id: JobId, lease: int) -> None:
        """A worker was told that its lease is lost, and discards its work."""
        self.read()
        book = self.books[job_id]
        completed = book.last.event
        _require(
            not (isinstance(completed, JobCompleted) and book.last_lease == lease),
            "the worker of the model was told that its lease is lost",
        )

    # What the log tells.

    def read(self) -> None:
        """Checks what was recorded since the last look."""
        found = self._backend.new_events()
        if not found:
            return
        for recorded in found:
            try:
                self._read(recorded)
            finally:
                self._hear(recorded)
        # The job as it is kept must be what its events add up to.
        for job_id in dict.fromkeys(one.job_id for one in found if not is_subject_id(one.job_id)):
            book = self.books[job_id]
            _require(self._backend.state(job_id) == book.state, "the state that is kept is not the fold of the log")
            _require(book.state.attempts_spent == book.spent, f"{book.state.attempts_spent} attempts count as spent")
            _require(0 <= book.spent <= book.submitted.max_attempts, "more attempts were spent than there are")
            _require((book.state.worker is not None) == bool(book.lease), "someone holds a lease, or should")

    def _read(self, recorded: Recorded) -> None:
        _require(recorded.position == len(self._log) + 1, f"position {recorded.position} leaves a gap")
        _require(not self._log or recorded.at >= self._log[-1].at, "the log's time fell")
        self._log.append(recorded)
        event = recorded.event
        if is_subject_id(recorded.job_id):
            return  # of no job
        book = self.books.get(recorded.job_id)
        if isinstance(event, JobSubmitted):
            _require(book is None and recorded.version == 1, "a job was submitted twice")
            given = [one for one in (event.starts_from, event.forked_from) if one is not None]
            self.books[recorded.job_id] = Book(
                submitted=event,
                submitted_at=recorded.position,
                last=recorded,
                state=evolve(no_job(recorded.job_id), recorded),
                announced={one["digest"]: one["epoch"] for one in given},
            )
            return
        if book is None:
            raise Violation("something happened to a job that was never submitted")
        _require(not book.has_ended, f"{type(event).__name__} was recorded after the end")
        _require(recorded.version == book.last.version + 1, f"version {recorded.version} leaves a gap")
        self._check(book, recorded)
        book.last = recorded
        book.state = evolve(book.state, recorded)
        self.ended += book.has_ended

    def _check(self, book: Book, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case JobSubmitted():
                raise AssertionError("was handled before")
            case JobClaimed():
                self._check_claim(book, recorded.job_id, event)
            case CancellationRequested():
                _require(not book.request, "a cancellation was requested twice")
                book.request = recorded.version
            case LeaseExpired():
                _require(book.lease == event.lease_epoch, f"lease {event.lease_epoch} expired and was not held")
                _require(book.worker == event.worker, "the lease of another worker expired")
                silent = self._world.now - self._alive_at[recorded.job_id, book.lease]
                _require(silent >= PATIENCE - 1e-9, f"a lease expired {silent:.3f} s after its worker was heard of")
                book.lost, book.lease = book.lease, 0
            case JobRequeued():
                expired = event.reason is RequeueReason.LEASE_EXPIRED
                _require(expired == (book.lease == 0) and (book.lost > 0) == expired, "a job was queued twice")
                _require(not book.request, "a job to be cancelled went back into the queue")
                if not expired:
                    self._check_author(book, recorded.actor, event.message)
                book.spent += event.reason is not RequeueReason.RELEASED
                book.lease = 0
            case JobCompleted():
                _require(not book.request, "a job to be cancelled completed")
                self._check_author(book, recorded.actor, event.metrics["by"])
                _require(
                    event.weights_digest == self._expected_weights[recorded.job_id],
                    f"the weights are {event.weights_digest}, which no undisturbed training gives",
                )
                attempt = (recorded.job_id, book.root)
                _require(
                    self._recorded.get(attempt, 0) == len(self._produced[attempt]),
                    "the job completed without all that its attempt reported",
                )
                book.has_ended, book.lease = True, 0
            case JobFailed():
                _require(not book.request, "a job to be cancelled failed")
                if event.kind == "worker_lost":
                    _require(book.lost == book.last_lease, "a job failed for a lease that was not lost")
                    _require(book.spent + 1 == book.submitted.max_attempts, "a job failed with attempts left")
                elif event.kind == "no_gpu":
                    _require(book.lease == 0, "a job was given up while it ran")
                else:
                    self._check_author(book, recorded.actor, event.message)
                    _require(
                        not event.retryable or book.spent + 1 == book.submitted.max_attempts,
                        "a job failed with attempts left",
                    )
                book.has_ended, book.lease = True, 0
            case JobCancelled():
                _require(book.request > 0, "a job was cancelled and nobody had asked for it")
                _require(book.request == event.request_version, "the receipt names another request")
                if event.where.startswith("attempt"):
                    self._check_author(book, recorded.actor, event.where)
                book.has_ended, book.lease = True, 0
            case _:
                self._check_progress(book, recorded.job_id, recorded.actor, event)

    def _check_claim(self, book: Book, job_id: JobId, event: JobClaimed) -> None:
        _require(not book.lease, f"lease {event.lease_epoch} was given out while lease {book.lease} was held")
        _require(not book.request, "a job to be cancelled was given to a worker")
        _require(event.lease_epoch == book.last_lease + 1, f"lease {event.lease_epoch} follows {book.last_lease}")
        running = self._running()
        share = book.submitted.share
        _require(self.rules.may_run(share, running.get(share, 0)), f"share {share!r} runs more jobs than its cap")
        if event.continues is None:
            book.root = event.lease_epoch
            self._check_turn(book, event, running)
        else:
            _require(event.continues == book.lost == book.last_lease, "an attempt went on that had not been lost")
            book.spent -= 1
        _require(event.attempt == book.spent + 1, f"attempt {event.attempt} follows {book.spent} that were spent")
        book.lease = book.last_lease = event.lease_epoch
        book.worker = event.worker
        book.lost = 0
        self._alive_at[job_id, event.lease_epoch] = self._world.now

    def _check_turn(self, book: Book, event: JobClaimed, running: Mapping[str, int]) -> None:
        """It was this job's turn, and this worker was right for it."""
        has_gpu = event.worker.partition("-")[0] in self._gpu_workers
        chosen = book.submitted
        _require(chosen.target in (event.worker_kind, Target.AUTO), "a worker of the wrong kind got the job")
        _require(has_gpu or not chosen.require_gpu, "a worker without a GPU got a job that needs one")
        _require(
            bool(event.fallback) == (chosen.prefer_gpu and not chosen.require_gpu and not has_gpu),
            "a fallback is recorded where there is none, or the other way round",
        )
        turn = (-chosen.priority, running.get(chosen.share, 0), book.submitted_at)
        for other in self.books.values():
            asked = other.submitted
            if other.has_ended or other.lease or asked.require_gpu or asked.prefer_gpu:
                continue
            if asked.target in (event.worker_kind, Target.AUTO):
                count = running.get(asked.share, 0)
                sooner = (-asked.priority, count, other.submitted_at) < turn
                _require(not (sooner and self.rules.may_run(asked.share, count)), "a job was passed over")

    def _check_progress(self, book: Book, job_id: JobId, actor: str, event: ProgressEvent) -> None:
        _require(book.lease > 0, f"{type(event).__name__} was recorded without a lease")
        _require(actor == f"worker:{book.worker}", f"{actor} wrote under the lease of {book.worker}")
        attempt = (job_id, book.root)
        number = self._recorded.get(attempt, 0)
        produced = self._produced.get(attempt, [])
        _require(
            number < len(produced) and produced[number] == event,
            f"event {number} of the attempt is not what its worker said then: {event}",
        )
        self._recorded[attempt] = number + 1
        if isinstance(event, CheckpointSaved):
            book.announced[event.digest] = event.epoch
        if isinstance(event, TrainingResumed) and event.digest is not None:
            _require(book.announced.get(event.digest) == event.epoch, "the training goes on from an unknown checkpoint")

    def _check_author(self, book: Book, actor: str, text: str) -> None:
        """The end of an attempt comes from the worker that holds the lease."""
        _require(book.lease > 0, "an attempt ended without a lease")
        _require(actor == f"worker:{book.worker}", f"{actor} ended the attempt of {book.worker}")
        _require(text == f"attempt {book.root}", f"{text} was ended under the lease of attempt {book.root}")

    def _running(self) -> dict[str, int]:
        running: dict[str, int] = {}
        for book in self.books.values():
            if book.lease:
                running[book.submitted.share] = running.get(book.submitted.share, 0) + 1
        return running

    def check_end(self, expected_jobs: int) -> None:
        """Once the faults are over and time has passed: every job has ended."""
        _require(len(self.books) == expected_jobs, "a job that was submitted is not in the log")
        for book in self.books.values():
            _require(book.has_ended, f"{book.state.job_id} never ended: it is {book.state.status}")

    @property
    def log(self) -> Sequence[Recorded]:
        return self._log


def _require(holds: bool, violated: str) -> None:
    if not holds:
        raise Violation(violated)
