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

from ktrdr.clock import from_instant, system_clock
from ktrdr.jobs import decide
from ktrdr.jobs.events import CancelOutcome, JobEvent, JobId
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.state import JobState
from ktrdr.store import Store, leases
from ktrdr.store.log import Log
from ktrdr.store.reader import Reader
from ktrdr.worker.job_process import JobProcess, JobProcessDiedError
from ktrdr.worker.messages import Broke, Ended, Ready, Stopped, Train, Trained
from ktrdr.worker.reporting import completed, failed, process_died, to_event

logger = logging.getLogger(__name__)

#: How long an idle worker waits before it looks again, should a ring of the doorbell be lost.
IDLE_SECONDS = 0.25
_CHILD = "ktrdr.worker.local_child"


class LocalTrainingOrchestrator:
    """One slot of the local worker. `run` belongs in a thread of its own: that is the one thread boundary of a job."""

    def __init__(self, store: Store, log: Log, worker: str, stopping: threading.Event) -> None:
        self._store = store
        self._log = log
        self._worker = worker
        self._actor = f"worker:{worker}"
        self._stopping = stopping
        self._reader: Reader = store.open_reader()
        self._watch = store.open_watch()
        self._process = JobProcess(_CHILD)
        #: Whether the child was made to end because it did not honour a cancellation.
        self._pressed = False

    def run(self) -> None:
        """Claims and runs jobs until the worker stops."""
        try:
            while not self._stopping.is_set():
                self._watch.clear()
                ready = self._process.ready(self._stopping)
                claimed = self._claim(ready) if ready and self._reader.has_queued("local") else None
                if claimed is None:
                    self._watch.wait(IDLE_SECONDS)
                else:
                    self._run_job(claimed)
        finally:
            self._process.kill()
            self._watch.close()
            self._reader.close()

    def _claim(self, ready: Ready) -> JobState | None:
        return self._log.write(
            lambda transaction: leases.claim_next(
                transaction,
                worker=self._worker,
                worker_kind="local",
                capabilities=ready.capabilities,
                numeric_profile=ready.numeric_profile,
            )
        )

    def _run_job(self, job: JobState) -> None:
        folder = self._store.home / "attempts" / f"{job.job_id}-{job.lease_epoch}"
        try:
            self._end(job, self._train(job, folder / "model"), folder / "model")
        except LeaseLostError as error:
            logger.warning("%s", error)
            self._process.restart()  # it may still be training for nobody
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _train(self, job: JobState, output: Path) -> Ended | None:
        """Runs the job in the child; None if the worker has to stop before it has ended. Raises LeaseLostError."""
        submitted = self._reader.submission(job.job_id)
        self._pressed = False
        try:
            self._process.send(
                Train(
                    job_id=job.job_id,
                    strategy=dict(submitted.strategy),
                    prices=submitted.prices,
                    context=submitted.context,
                    seed=submitted.seed,
                    price_folder=self._store.home / "prices",
                    output=output,
                )
            )
            return self._follow(job)
        except JobProcessDiedError as error:
            if self._pressed:
                return Stopped(outcome=CancelOutcome.KILLED, batches_after_request=None, where="")
            return process_died(error)

    def _follow(self, job: JobState) -> Ended | None:
        """Records what the child says until it ends the job; None if the worker has to stop first.

        Raises JobProcessDiedError and LeaseLostError.
        """
        renew_at = time.monotonic()
        while not self._stopping.is_set():
            self._watch.clear()
            if time.monotonic() >= renew_at:
                self._log.write(lambda transaction: leases.renew(transaction, job.job_id, job.lease_epoch))
                renew_at = time.monotonic() + self._store.lease_seconds / 3
            self._press_cancellation(job.job_id)
            # Woken by a message, a change of the log (a cancellation, perhaps), or in time to renew the lease.
            wait([self._process.pipe, *self._watch.descriptors()], max(0.0, min(1.0, renew_at - time.monotonic())))
            said, ended = self._process.receive_all()
            if said:
                progress = [to_event(one) for one in said]
                self._write(job, lambda state: decide.report(state, job.lease_epoch, progress))  # noqa: B023
            if ended is not None:
                return ended
        return None

    def _press_cancellation(self, job_id: JobId) -> None:
        """Ends the child if it does not honour a cancellation by itself."""
        requested = self._reader.cancellation(job_id)
        if requested is None:
            return
        self._pressed = self._process.press((system_clock() - from_instant(requested[1])).total_seconds())

    def _end(self, job: JobState, ended: Ended | None, model: Path) -> None:
        """Records how the attempt ended."""
        epoch = job.lease_epoch
        match ended:
            case Trained():
                self._store.models.adopt(model, ended.model_digest)
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
            case None:
                self._process.kill()
                state = self._write(job, lambda state: decide.release(state, epoch, message="the worker was stopped"))
        logger.info("job %s is %s", job.job_id, state.status)

    def _write(self, job: JobState, decide_events: Callable[[JobState], Sequence[JobEvent]]) -> JobState:
        return self._log.write(lambda transaction: transaction.change(job.job_id, decide_events, actor=self._actor))
