"""One attempt at one job, as the service sees it: its lease, its events and its checkpoints on their way.

Imports this package's own parts and jobs. Three threads of its own do what may take long, so that whoever follows the
training never waits for the network: one keeps the lease and waits for a cancellation, one sends events, one uploads
checkpoints. A lease that ran out is regained, if nobody else has the job by then, and everything goes on.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from host_worker.connection import (
    Connection,
    GivenUp,
    GivenUpError,
    LeaseLostError,
    NoAnswerError,
    Pauses,
    RefusedError,
)
from host_worker.lease import Lease, Worker
from host_worker.outbox import Outbox
from ktrdr.clock import steady_moment
from ktrdr.jobs.events import CheckpointSaved, ProgressEvent
from ktrdr.jobs.state import CHECKPOINTS
from ktrdr.worker.messages import CheckpointWritten
from ktrdr.worker.reporting import saved

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

_LOOK_SECONDS = 0.25
#: How often a file that arrived damaged is sent again.
_DAMAGES = 3


class Attempt:
    """A context: its threads run as long as the block lasts."""

    def __init__(self, connection: Connection, claimed: Mapping[str, Any], worker: Worker, given_up: GivenUp) -> None:
        """`given_up` says when the worker has to end, whatever was not delivered by then."""
        self._worker = worker
        self._over = threading.Event()
        self._lease = Lease(
            connection=connection,
            job_id=claimed["job_id"],
            epoch=claimed["lease_epoch"],
            seconds=float(claimed["lease_seconds"]),
            given_up=lambda: self._over.is_set() or given_up(),
        )
        self._regaining = threading.Lock()
        #: Guards what follows, and tells of each change.
        self._changed = threading.Condition()
        self._outbox = Outbox()
        #: Checkpoints to upload; the job remembers no more than these, so older ones have no use.
        self._checkpoints: deque[CheckpointWritten] = deque()
        self._is_uploading = False
        self._broken: Exception | None = None
        self._heard_at: float | None = None
        self._made_at: float | None = None
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._threads = [
            # What they log belongs to the same trace as what the slot's thread logs.
            threading.Thread(
                target=copy_context().run, args=(self._watched, work), name=f"attempt: {work.__name__}", daemon=True
            )
            for work in (self._keep_lease, self._send_events, self._upload_checkpoints)
        ]

    def __enter__(self) -> Attempt:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        with self._changed:
            self._changed.notify_all()
        # A thread may be inside a request; it notices that the attempt is over once that has ended, and harms nobody.
        self._wake.close()
        self._waker.close()

    @property
    def lease(self) -> Lease:
        return self._lease

    @property
    def wake(self) -> socket.socket:
        """Readable once there is something new to see here, until `check` is called."""
        return self._wake

    @property
    def requested_at(self) -> float | None:
        """When a cancellation was requested or, if that cannot be known, heard of, by the steady clock; or None."""
        return self._heard_at if self._made_at is None else self._made_at

    @property
    def request_made_at(self) -> float | None:
        """When it was requested, by the steady clock; None where the wall clocks that tell it were set meanwhile."""
        return self._made_at

    @property
    def seconds_since_request(self) -> float:
        """By a steady clock; 0 if no cancellation was requested."""
        return 0.0 if self.requested_at is None else time.monotonic() - self.requested_at

    def check(self) -> None:
        """Raises LeaseLostError if the job is not ours any more, and RefusedError if what we reported was refused."""
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(64)
        if self._broken is not None:
            raise self._broken

    def tell(self, event: ProgressEvent) -> None:
        """Puts an event on its way; never waits. Raises ValueError for an event that no log can hold."""
        with self._changed:
            self._outbox.put(event)
            self._changed.notify_all()

    def keep(self, written: CheckpointWritten) -> None:
        """Puts a checkpoint on its way, and its event once it has arrived; never waits."""
        with self._changed:
            self._checkpoints.append(written)
            if len(self._checkpoints) > CHECKPOINTS:
                self._checkpoints.popleft().file.unlink(missing_ok=True)
            self._changed.notify_all()

    def deliver(self, *, files_given_up: GivenUp, given_up: GivenUp) -> None:
        """Waits until the service has the checkpoints and then the events, or for as long as there is a point in it.

        Raises as `check` does.
        """
        with self._changed:
            while (self._checkpoints or self._is_uploading) and not files_given_up():
                self.check()
                self._changed.wait(_LOOK_SECONDS)
            self._checkpoints.clear()
            while len(self._outbox) and not given_up():
                self.check()
                self._changed.wait(_LOOK_SECONDS)
            self.check()

    def upload(self, file: Path, digest: str, given_up: GivenUp) -> None:
        """Brings a file to the service, going on where a broken connection or a restarted service left it.

        Raises LeaseLostError, RefusedError and GivenUpError.
        """
        pauses = Pauses(given_up, self._lease.seconds / 3)
        damages = 0
        offset, is_whole = 0, False  # the service says if it has more
        while not is_whole:
            try:
                before = offset
                offset, is_whole = self.ask(lambda lease: lease.append(digest, file, before, given_up))  # noqa: B023
                pauses.restart()
            except NoAnswerError as error:
                pauses.pause(error)
                offset, is_whole = self.ask(lambda lease: lease.uploaded(digest))
            except RefusedError as error:
                damages += 1
                if error.name not in ("wrong-offset", "damaged-upload") or damages > _DAMAGES:
                    raise
                offset, is_whole = self.ask(lambda lease: lease.uploaded(digest))

    def ask(self, question: Callable[[Lease], Answer]) -> Answer:
        """What the service answers, under a lease that is regained if it ran out.

        Raises LeaseLostError, RefusedError and GivenUpError.
        """
        while True:
            lease = self._lease
            try:
                return question(lease)
            except LeaseLostError:
                self._regain(lease)

    def _regain(self, lost: Lease) -> None:
        with self._regaining:
            if self._lease is not lost:
                return  # another thread has done it
            self.check()
            epoch = lost.regain(self._worker)
            self._lease = replace(lost, epoch=epoch)
            logger.warning("the lease on job %s had run out; going on under lease %d", lost.job_id, epoch)

    def _watched(self, work: Callable[[], None]) -> None:
        """Runs one of the threads; what ends it early is for `check` to tell."""
        try:
            work()
        except Exception as error:
            if self._over.is_set() or isinstance(error, GivenUpError):
                return
            if not isinstance(error, LeaseLostError | RefusedError):
                logger.exception("a thread of the attempt broke")
                error = RefusedError(f"the host worker made a mistake: {error}")
            with self._changed:
                self._broken = self._broken or error
                self._changed.notify_all()
            self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # the attempt is over
            self._waker.send(b".")

    def _keep_lease(self) -> None:
        """Renews the lease and waits for a cancellation, until the attempt is over."""
        pause = self._lease.seconds / 3
        looked_at = time.monotonic()
        while not self._over.is_set():
            self.ask(Lease.renew)
            if self._heard_at is not None:
                self._over.wait(pause)  # there is nothing more to hear of
                continue
            asked_at = time.monotonic()
            age = self.ask(lambda lease: lease.cancellation(wait=pause))
            if age is None:
                looked_at = asked_at
            else:
                now = time.monotonic()
                self._made_at = steady_moment(age, after=looked_at, now=now)
                self._heard_at = now
                self._ring()

    def _send_events(self) -> None:
        most = None
        while not self._over.is_set():
            with self._changed:
                batch = self._outbox.batch(most) if most else self._outbox.batch()
                if batch is None:
                    self._changed.wait(_LOOK_SECONDS)
                    continue
            try:
                self.ask(lambda lease: lease.report(batch))  # noqa: B023
            except RefusedError as error:
                if len(batch.events) > 1:
                    most = 1  # to find out which one it is
                    continue
                if not isinstance(batch.events[0], CheckpointSaved):
                    raise
                # One checkpoint less to fall back on is no reason to end a training.
                logger.warning("a checkpoint is not kept: %s", error)
                with self._changed:
                    self._outbox.drop_first()
                    self._changed.notify_all()
            else:
                most = None
                with self._changed:
                    self._outbox.acknowledge(batch)
                    self._changed.notify_all()

    def _upload_checkpoints(self) -> None:
        while not self._over.is_set():
            with self._changed:
                if not self._checkpoints:
                    self._changed.wait(_LOOK_SECONDS)
                    continue
                written = self._checkpoints.popleft()
                self._is_uploading = True
            try:
                self.upload(written.file, written.digest, self._lease.given_up)
                self.tell(saved(written))
            except (RefusedError, OSError) as error:
                logger.warning("the checkpoint of epoch %d is not kept: %s", written.epoch, error)
            finally:
                written.file.unlink(missing_ok=True)
                with self._changed:
                    self._is_uploading = False
                    self._changed.notify_all()
