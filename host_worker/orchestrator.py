"""The HostTrainingOrchestrator: the local one's pattern, with HTTP in place of the log.

Imports this package's own parts, the shared job process and jobs. It follows the job process and decides how an attempt
ends; what takes long on the way to the service is the attempt's own business.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from hashlib import sha256
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from host_worker.attempt import Attempt
from host_worker.cache import Cache, fetch_from
from host_worker.connection import Connection, GivenUpError, LeaseLostError, RefusedError
from host_worker.lease import Lease, Worker, claim
from host_worker.stopping import DELIVER_SECONDS, SAY_SECONDS, Stopping
from ktrdr.jobs.codec import decode
from ktrdr.jobs.events import CancelOutcome, JobFailed, JobId, JobSubmitted
from ktrdr.spans import Spans
from ktrdr.tracing import TRACEPARENT
from ktrdr.worker.account import Account
from ktrdr.worker.breakage import storage_broke
from ktrdr.worker.job_process import PAUSE_SECONDS, JobProcess, JobProcessDiedError
from ktrdr.worker.messages import Broke, Cancel, CheckpointWritten, Ended, Paused, Ready, Stopped, Train, Trained
from ktrdr.worker.orders import order_to_train
from ktrdr.worker.reporting import completed, failed, process_died, to_event

logger = logging.getLogger(__name__)

CLAIM_WAIT_SECONDS = 20.0
#: A stopping worker that gets no answer may leave: it has no job, or has lost the answer that gave it one.
CLAIM_STOP_SECONDS = 1.0
#: After a cancellation, checkpoints and then events are delivered for so long before its end is told all the same.
CANCEL_FILES_SECONDS = 8.0
CANCEL_EVENTS_SECONDS = 11.0
_AFTER_MISTAKE_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_CHILD = "host_worker.child"


class HostTrainingOrchestrator:
    """One slot of a host worker. `run` belongs in a thread of its own."""

    def __init__(
        self,
        *,
        connection: Connection,
        cache: Cache,
        folder: Path,
        name: str,
        stopping: Stopping,
        on_ready: Callable[[Ready], None],
        spans: Spans | None = None,
    ) -> None:
        self._connection = connection
        self._cache = cache
        self._folder = folder
        self._name = name
        self._stopping = stopping
        self._on_ready = on_ready
        self._spans = spans
        self._process = JobProcess(_CHILD)

    def run(self) -> None:
        """Claims and runs jobs until the worker stops. Nothing that goes wrong with one job ends it."""
        try:
            while ready := self._process.ready(self._stopping.event):
                self._on_ready(ready)
                worker = Worker(name=self._name, capabilities=ready.capabilities, numeric_profile=ready.numeric_profile)
                if (claimed := self._claim(worker)) is not None:
                    self._run_job(claimed, worker)
        finally:
            self._process.kill()

    def kill(self) -> None:
        """Ends the job process at once."""
        self._process.kill()

    def _claim(self, worker: Worker) -> dict[str, Any] | None:
        """The next job; None if there is none for now."""
        claim_id = uuid.uuid4().hex

        def given_up() -> bool:
            return self._stopping.lasts_for(CLAIM_STOP_SECONDS)

        try:
            return claim(self._connection, worker, claim_id, wait=CLAIM_WAIT_SECONDS, given_up=given_up)
        except GivenUpError as error:
            logger.warning("left without an answer to a claim: %s", error)
        except (RefusedError, LeaseLostError) as error:
            logger.error("the service gives no jobs: %s", error)
            self._stopping.event.wait(_AFTER_MISTAKE_SECONDS)
        return None

    def _run_job(self, claimed: Mapping[str, Any], worker: Worker) -> None:
        folder = self._folder / f"{claimed['job_id']}-{claimed['lease_epoch']}"
        with self._account_of(claimed) as account:
            connection = self._connection.within(account.trace)
            try:
                with Attempt(connection, claimed, worker, lambda: self._stopping.lasts_for(SAY_SECONDS)) as attempt:
                    ended = self._try(attempt, claimed, folder, account)
                    account.ended(ended, self._end(attempt, ended, folder / "model"))
            except (LeaseLostError, RefusedError, GivenUpError) as error:
                logger.warning("job %s is given up here: %s", claimed["job_id"], error)
                self._process.restart()  # it may still be training for nobody
            except Exception:
                # Whatever it is, the next job may be a better one; the lease of this one runs out.
                logger.exception("job %s broke this worker's slot", claimed["job_id"])
                self._process.restart()
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _account_of(self, claimed: Mapping[str, Any]) -> Account:
        submitted = claimed["submitted"]
        return Account(
            self._spans,
            job_id=claimed["job_id"],
            name=submitted["name"],
            attempt=claimed["attempt"],
            lease_epoch=claimed["lease_epoch"],
            worker=self._name,
            traceparent=submitted.get(TRACEPARENT),
        )

    def _try(self, attempt: Attempt, claimed: Mapping[str, Any], folder: Path, account: Account) -> Ended:
        """Runs the job; whatever happens short of losing the lease is an end of the attempt."""
        pressed = False

        def press() -> None:
            nonlocal pressed
            pressed = self._process.press(attempt.seconds_since_request)

        try:
            order = self._order(claimed, folder, account)
            self._fetch_inputs(attempt, order)
            self._process.send(order)
            return self._follow(attempt, press, account)
        except JobProcessDiedError as error:
            if pressed:
                return Stopped(outcome=CancelOutcome.KILLED, batches_after_request=None, where="")
            return process_died(error)
        except GivenUpError:  # before the training began
            return Paused() if attempt.requested_at is None else Stopped(batches_after_request=0, where="")
        except RefusedError as error:
            self._process.restart()
            fix = "look at the worker's log"
            return Broke(kind="refused_by_api", message=str(error), where="", fix=fix, retryable=True)
        except OSError as error:
            self._process.restart()
            return storage_broke(error, where="", folder=folder)

    def _order(self, claimed: Mapping[str, Any], folder: Path, account: Account) -> Train:
        submitted = decode("JobSubmitted", JobSubmitted.SCHEMA, json.dumps(claimed["submitted"]))
        if not isinstance(submitted, JobSubmitted):
            raise TypeError(f"a job begins with JobSubmitted, not {type(submitted).__name__}")
        return order_to_train(
            JobId(claimed["job_id"]),
            submitted,
            claimed["checkpoints"],
            price_folder=folder / "inputs",
            checkpoint_folder=folder / "inputs",
            attempt_folder=folder,
            log_fields=account.fields,
        )

    def _fetch_inputs(self, attempt: Attempt, order: Train) -> None:
        """Brings prices and checkpoints here. Raises RefusedError for prices that cannot be had."""

        def given_up() -> bool:
            attempt.check()
            return self._stopping.is_set or attempt.requested_at is not None

        for data in (*order.prices, *order.context):
            fetch = fetch_from(attempt.lease.connection, f"/prices/{data['digest']}", given_up)
            self._cache.link(f"{data['digest']}.npy", data["digest"], order.price_folder, fetch, given_up)
        for one in order.checkpoints:

            def link(lease: Lease, digest: str = one["digest"]) -> None:
                fetch = fetch_from(lease.connection, f"{lease.path}/checkpoints/{digest}", given_up)
                self._cache.link(f"{digest}.safetensors", digest, order.checkpoint_folder, fetch, given_up)

            try:
                attempt.ask(link)
            except RefusedError as error:  # the training falls back on the one before, and says so
                logger.warning("the checkpoint of epoch %d cannot be had: %s", one["epoch"], error)

    def _follow(self, attempt: Attempt, press: Callable[[], None], account: Account) -> Ended:
        """Passes on what the child says until it ends the job, or does not although the worker has to stop.

        Raises JobProcessDiedError, LeaseLostError and RefusedError.
        """
        is_told, kill_at = False, None
        while kill_at is None or time.monotonic() < kill_at:
            wait([self._process.pipe, attempt.wake], _LOOK_SECONDS)
            attempt.check()
            account.goes_on_under(attempt.lease.epoch)
            if attempt.requested_at is not None:
                if not is_told:
                    is_told = True
                    account.cancellation_seen()
                    self._process.send(Cancel(requested_at=attempt.request_made_at))
                press()
            if kill_at is None and self._stopping.is_set:
                kill_at = time.monotonic() + PAUSE_SECONDS
                self._process.stop()
            said, ended = self._process.receive_all()
            for one in said:
                account.told(one)
                if isinstance(one, CheckpointWritten):
                    attempt.keep(one)
                else:
                    attempt.tell(to_event(one))
            if ended is not None:
                return ended
        self._process.kill()
        return Paused()

    def _end(self, attempt: Attempt, ended: Ended, model: Path) -> str:
        """Hands in how the attempt ended; gives the job's status."""
        self._deliver(attempt)
        match ended:
            case Trained():
                return self._hand_in(attempt, ended, model)
            case Stopped():
                return attempt.ask(
                    lambda lease: lease.stopped(
                        outcome=ended.outcome, batches_after_request=ended.batches_after_request, where=ended.where
                    )
                )
            case Broke():
                return attempt.ask(lambda lease: lease.fail(failed(ended)))
            case Paused():
                return attempt.lease.release(message="the worker was stopped")

    def _deliver(self, attempt: Attempt) -> None:
        """Waits for what is on its way, but not for ever if the worker stops or a cancellation waits for its end."""
        try:
            attempt.deliver(
                files_given_up=lambda: (
                    self._stopping.lasts_for(DELIVER_SECONDS) or attempt.seconds_since_request > CANCEL_FILES_SECONDS
                ),
                given_up=lambda: (
                    self._stopping.lasts_for(DELIVER_SECONDS) or attempt.seconds_since_request > CANCEL_EVENTS_SECONDS
                ),
            )
        except RefusedError as error:
            logger.warning("not everything that happened was recorded: %s", error)

    def _hand_in(self, attempt: Attempt, trained: Trained, model: Path) -> str:
        def given_up() -> bool:
            attempt.check()
            return attempt.requested_at is not None or self._stopping.lasts_for(DELIVER_SECONDS)

        try:
            files = {file.name: sha256(file.read_bytes()).hexdigest() for file in sorted(model.iterdir())}
            for name, digest in files.items():
                attempt.upload(model / name, digest, given_up)
            return attempt.ask(lambda lease: lease.complete(completed(trained), files))
        except GivenUpError:
            if attempt.requested_at is None:
                return attempt.lease.release(message="the worker was stopped before it had handed in the model")
            return attempt.ask(_finished_first)
        except RefusedError as error:
            refused = JobFailed(
                kind="refused_by_api", message=str(error), where="save_model", fix="try it again", retryable=True
            )
            return attempt.ask(lambda lease: lease.fail(refused))


def _finished_first(lease: Lease) -> str:
    return lease.stopped(outcome=CancelOutcome.FINISHED_FIRST, batches_after_request=0, where="save_model")
