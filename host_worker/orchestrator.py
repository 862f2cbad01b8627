"""The HostTrainingOrchestrator: the local one's pattern, with HTTP in place of the log.

Imports the lease, the shared job process and jobs. One thread follows the job process and reports; another keeps the
lease and waits for a cancellation, so that neither training nor a slow upload can cost the lease.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from host_worker.lease import Api, Lease, LeaseLostError, RefusedError, WorkerStoppedError
from ktrdr.files import Prices
from ktrdr.jobs.events import CancelOutcome, JobFailed
from ktrdr.worker.job_process import JobProcess, JobProcessDiedError
from ktrdr.worker.messages import Broke, Cancel, Ended, Stopped, Train, Trained
from ktrdr.worker.reporting import completed, failed, process_died, to_event

logger = logging.getLogger(__name__)

CLAIM_WAIT_SECONDS = 20.0
_CHILD = "host_worker.child"


class HostTrainingOrchestrator:
    """One slot of a host worker. `run` belongs in a thread of its own."""

    def __init__(self, url: str, home: Path, worker: str, stopping: threading.Event) -> None:
        self._url = url
        self._home = home
        self._worker = worker
        self._stopping = stopping
        self._api = Api(url, stopping)
        self._prices = Prices(home / "prices")
        self._process = JobProcess(_CHILD)
        #: Whether there is a job to give back before the worker may end.
        self.is_busy = False
        #: What the lease's keeper has heard: when a cancellation was requested, and whether the lease is gone.
        self._requested_at: float | None = None
        self._lost = False

    def run(self) -> None:
        """Claims and runs jobs until the worker stops."""
        try:
            while ready := self._process.ready(self._stopping):
                claimed = self._api.claim(
                    worker=self._worker,
                    capabilities=ready.capabilities,
                    numeric_profile=ready.numeric_profile,
                    wait=CLAIM_WAIT_SECONDS,
                )
                if claimed is not None:
                    self.is_busy = True
                    self._run_job(claimed)
                    self.is_busy = False
        except WorkerStoppedError:
            self.is_busy = False
        finally:
            self._process.kill()
            self._api.close()

    def _run_job(self, claimed: Mapping[str, Any]) -> None:
        lease = Lease(self._api, claimed)
        folder = self._home / "attempts" / f"{claimed['job_id']}-{claimed['lease_epoch']}"
        over = threading.Event()
        keeper = threading.Thread(target=self._keep_lease, args=(claimed, over), daemon=True)
        self._requested_at = None
        self._lost = False
        keeper.start()
        try:
            self._end(lease, self._train(lease, claimed, folder / "model"), folder / "model")
        except LeaseLostError as error:
            logger.warning("%s", error)
            self._process.restart()  # it may still be training for nobody
        finally:
            over.set()
            shutil.rmtree(folder, ignore_errors=True)

    def _train(self, lease: Lease, claimed: Mapping[str, Any], output: Path) -> Ended | None:
        """Runs the job in the child; None if the worker has to stop before it has ended. Raises LeaseLostError."""
        submitted = claimed["submitted"]
        pressed = False
        try:
            for data in (*submitted["prices"], *submitted["context"]):
                self._fetch_prices(data["digest"])
            self._process.send(
                Train(
                    job_id=claimed["job_id"],
                    strategy=submitted["strategy"],
                    prices=tuple(submitted["prices"]),
                    context=tuple(submitted["context"]),
                    seed=submitted["seed"],
                    price_folder=self._home / "prices",
                    output=output,
                )
            )
            while not self._stopping.is_set():
                wait([self._process.pipe], timeout=0.25)
                if self._lost:
                    raise LeaseLostError("the lease was lost while the job was training")
                if self._requested_at is not None:
                    pressed = self._process.press(time.time() - self._requested_at)
                said, ended = self._process.receive_all()
                if said:
                    lease.report([to_event(one) for one in said])
                if ended is not None:
                    return ended
        except JobProcessDiedError as error:
            if pressed:
                return Stopped(outcome=CancelOutcome.KILLED, batches_after_request=None, where="")
            return process_died(error)
        except RefusedError as error:
            self._process.restart()
            return Broke(kind="refused_by_api", message=str(error), where="", fix="", retryable=False)
        return None

    def _end(self, lease: Lease, ended: Ended | None, model: Path) -> None:
        """Hands in how the attempt ended."""
        match ended:
            case Trained():
                status = self._hand_in(lease, ended, model)
            case Stopped():
                status = lease.stopped(
                    outcome=ended.outcome, batches_after_request=ended.batches_after_request, where=ended.where
                )
            case Broke():
                status = lease.fail(failed(ended))
            case None:
                self._process.kill()
                status = lease.release(message="the worker was stopped")
        logger.info("the job is %s", status)

    def _hand_in(self, lease: Lease, trained: Trained, model: Path) -> str:
        try:
            for file in sorted(model.iterdir()):
                lease.upload(file)
            return lease.complete(completed(trained))
        except RefusedError as error:
            return lease.fail(
                JobFailed(kind="refused_by_api", message=str(error), where="save_model", fix="", retryable=True)
            )

    def _keep_lease(self, claimed: Mapping[str, Any], over: threading.Event) -> None:
        """Renews the lease and waits for a cancellation, until the attempt is over."""
        api = Api(self._url, over)
        lease = Lease(api, claimed)
        pause = float(claimed["lease_seconds"]) / 3
        try:
            while not over.is_set():
                lease.renew()
                if self._requested_at is not None:
                    over.wait(pause)  # there is nothing more to hear of
                    continue
                age = lease.cancellation(wait=pause)
                if age is not None:
                    self._requested_at = time.time() - age
                    self._process.send(Cancel(requested_at=self._requested_at))
        except LeaseLostError:
            self._lost = True
        except (JobProcessDiedError, WorkerStoppedError):
            pass  # the other thread sees it too, and ends the attempt
        finally:
            api.close()

    def _fetch_prices(self, digest: str) -> None:
        """Brings price data into the cache. Raises RefusedError if what comes is not what was named."""
        if self._prices.path(digest).exists():
            return
        if self._prices.add(self._api.prices(digest)) != digest:
            raise RefusedError(f"the price data sent as {digest} has another digest")
