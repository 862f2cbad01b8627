"""The LocalTrainingOrchestrator: runs one job after another in a warm process, writing to the log itself.

Imports jobs and the store. It owns coordination only (lease, progress, cancellation, the end of the attempt); the work
is `ktrdr.training.run`, on the other side of the pipe.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

from ktrdr.jobs import decide
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import CancelOutcome, JobEvent, JobId, ProgressEvent
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.state import JobState
from ktrdr.spans import Spans
from ktrdr.store import Store, leases
from ktrdr.store.database import NotWrittenError
from ktrdr.store.log import Log, Operation
from ktrdr.store.reader import Reader
from ktrdr.worker.account import Account
from ktrdr.worker.breakage import storage_broke
from ktrdr.worker.job_process import PAUSE_SECONDS, JobProcess, JobProcessDiedError
from ktrdr.worker.messages import Broke, CheckpointWritten, Ended, Paused, Ready, Said, Stopped, Trained
from ktrdr.worker.orders import order_to_train
from ktrdr.worker.patience import write_patiently
from ktrdr.worker.reporting import completed, failed, process_died, saved, to_event

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

#: How long an idle worker waits before it looks again, should a ring of the doorbell be lost.
IDLE_SECONDS = 0.25
_CHILD = "ktrdr.worker.local_child"


class LocalTrainingOrchestrator:
    """One slot of the local worker. `run` belongs in a thread of its own: that is the one thread boundary of a job."""

    def __init__(
        self,
        store: Store,
        log: Log,
        worker: str,
        *,
        stopping: threading.Event,
        on_ready: Callable[[Ready], None],
        spans: Spans | None = None,
    ) -> None:
        self._store = store
        self._log = log
        self._worker = worker
        self._actor = f"worker:{worker}"
        self._stopping = stopping
        #: Told before each claim what the job process can do.
        self._on_ready = on_ready
        self._spans = spans
        self._reader: Reader = store.open_reader()
        self._watch = store.open_watch()
        self._process = JobProcess(_CHILD)
        #: When, by the steady clock, the present job's cancellation was seen here.
        self._requested_at: float | None = None
        #: Whether the child was made to end because it did not honour a cancellation.
        self._pressed = False

    def run(self) -> None:
        """Claims and runs jobs until the worker stops."""
        try:
            while not self._stopping.is_set():
                self._watch.clear()
                ready = self._process.ready(self._stopping)
                claimed = self._claim(ready) if ready else None
                if claimed is None:
                    self._watch.wait(IDLE_SECONDS)
                else:
                    self._run_job(claimed)
        except NotWrittenError as error:  # and the worker stops
            logger.warning("%s; a job that could not be given back is taken up again when its lease has expired", error)
        finally:
            self._process.kill()
            self._watch.close()
            self._reader.close()

    def _claim(self, ready: Ready) -> JobState | None:
        self._on_ready(ready)
        claimant = Claimant(
            worker=self._worker,
            kind="local",
            capabilities=ready.capabilities,
            numeric_profile=ready.numeric_profile,
        )
        if not self._reader.has_job_for("local", has_gpu=claimant.has_gpu):
            return None
        return self._append(lambda transaction: leases.claim_next(transaction, claimant))

    def _run_job(self, job: JobState) -> None:
        folder = self._store.home / "attempts" / f"{job.job_id}-{job.lease_epoch}"
        with self._account_of(job) as account:
            try:
                self._end(job, self._keep_model(self._train(job, folder, account), folder / "model"), account)
            except LeaseLostError as error:
                logger.warning("%s", error)
                self._process.restart()  # it may still be training for nobody
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _account_of(self, job: JobState) -> Account:
        return Account(
            self._spans,
            job_id=job.job_id,
            name=job.name,
            attempt=job.attempt,
            lease_epoch=job.lease_epoch,
            worker=self._worker,
            traceparent=job.traceparent,
        )

    def _train(self, job: JobState, folder: Path, account: Account) -> Ended | None:
        """Runs the job in the child; None if it does not end although the worker has to stop. Raises LeaseLostError."""
        submitted = self._reader.submission(job.job_id)
        self._requested_at, self._pressed = None, False
        try:
            self._process.send(
                order_to_train(
                    job.job_id,
                    submitted,
                    job.checkpoints,
                    price_folder=self._store.home / "prices",
                    checkpoint_folder=self._store.checkpoints.folder,
                    attempt_folder=folder,
                    log_fields=account.fields,
                )
            )
            return self._follow(job, account)
        except JobProcessDiedError as error:
            if self._pressed:
                return Stopped(outcome=CancelOutcome.KILLED, batches_after_request=None, where="")
            return process_died(error)

    def _follow(self, job: JobState, account: Account) -> Ended | None:
        """Records what the child says until it ends the job; None if it does not, although the worker has to stop.

        Raises JobProcessDiedError and LeaseLostError.
        """
        renew_at = time.monotonic()
        give_up_at: float | None = None
        while give_up_at is None or time.monotonic() < give_up_at:
            self._watch.clear()
            if give_up_at is None and self._stopping.is_set():
                self._process.stop()
                give_up_at = time.monotonic() + PAUSE_SECONDS
            if time.monotonic() >= renew_at:
                self._append(lambda transaction: leases.renew(transaction, job.job_id, job.lease_epoch))
                renew_at = time.monotonic() + self._store.lease_seconds / 3
            self._press_cancellation(job.job_id, account)
            # Woken by a message, a change of the log (a cancellation, perhaps), or in time to renew the lease.
            wait([self._process.pipe, *self._watch.descriptors()], max(0.0, min(1.0, renew_at - time.monotonic())))
            said, ended = self._process.receive_all()
            for one in said:
                account.told(one)
            if progress := [event for one in said for event in self._events_of(one)]:
                self._write(job, lambda state: decide.report(state, job.lease_epoch, progress))
            if ended is not None:
                return ended
        return None

    def _events_of(self, said: Said) -> list[ProgressEvent]:
        """What of the child's words the log records; none for a checkpoint that cannot be kept."""
        if not isinstance(said, CheckpointWritten):
            return [to_event(said)]
        try:
            self._store.checkpoints.adopt(said.file, said.digest)
        except OSError as error:
            logger.warning("the checkpoint of epoch %d is not kept: %s", said.epoch, error)
            return []
        return [saved(said)]

    def _press_cancellation(self, job_id: JobId, account: Account) -> None:
        """Ends the child if it does not honour a cancellation by itself."""
        if self._requested_at is None and self._reader.cancellation(job_id) is not None:
            self._requested_at = time.monotonic()
            account.cancellation_seen()
        if self._requested_at is not None:
            self._pressed = self._process.press(time.monotonic() - self._requested_at)

    def _keep_model(self, ended: Ended | None, model: Path) -> Ended | None:
        """Takes the model to its place, if there is one. Where the disk does not let it, the attempt has failed."""
        if isinstance(ended, Trained):
            try:
                self._store.models.adopt(model, ended.model_digest)
            except OSError as error:
                return storage_broke(error, where="save_model", folder=model.parent)
        return ended

    def _end(self, job: JobState, ended: Ended | None, account: Account) -> None:
        """Records how the attempt ended."""
        epoch = job.lease_epoch
        match ended:
            case Trained():
                state = self._write(job, lambda state: decide.complete(state, epoch, completed(ended)))
            case Stopped():
                state = self._write(
                    job,
                    lambda state: decide.acknowledge_cancellation(
                        state,
                        epoch,
                        outcome=ended.outcome,
                        batches_after_request=ended.batches_after_request,
                        where=ended.where,
                    ),
                )
            case Broke():
                state = self._write(job, lambda state: decide.fail(state, epoch, failed(ended)))
            case Paused() | None:
                if ended is None:
                    self._process.kill()
                state = self._write(job, lambda state: decide.release(state, epoch, message="the worker was stopped"))
        account.ended(ended, state.status)

    def _write(self, job: JobState, decide_events: Callable[[JobState], Sequence[JobEvent]]) -> JobState:
        return self._append(lambda transaction: transaction.change(job.job_id, decide_events, actor=self._actor))

    def _append(self, operation: Operation[Result]) -> Result:
        """Raises NotWrittenError if the worker has to stop while nothing can be written."""
        return write_patiently(self._log, operation, self._stopping)
