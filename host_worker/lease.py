"""The worker protocol of the API, as calls that answer or say that the lease is lost. Imports httpx2.

A call that gets no answer (no connection, a time-out, a server that restarts) is repeated until it gets one, with
growing pauses: the API recognises what it has seen before, so nothing is lost and nothing happens twice.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from ktrdr.jobs.codec import event_data
from ktrdr.jobs.events import CancelOutcome, JobCompleted, JobFailed, ProgressEvent

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
#: Beyond any long poll; a connection that is silent for longer is dead.
_TIMEOUT = httpx2.Timeout(15.0, read=60.0)


class LeaseLostError(Exception):
    """The job is no longer this worker's."""


class RefusedError(Exception):
    """The API does not accept what was sent, and would not if it were sent again."""


class WorkerStoppedError(Exception):
    """The worker is to stop, and the API could not be reached meanwhile."""


class Api:
    """A connection to the API for one thread."""

    def __init__(self, url: str, stopping: threading.Event) -> None:
        self._http = httpx2.Client(base_url=f"{url.rstrip('/')}/api/v1", timeout=_TIMEOUT)
        self._stopping = stopping

    def claim(
        self, *, worker: str, capabilities: Mapping[str, Any], numeric_profile: Mapping[str, Any], wait: float
    ) -> dict[str, Any] | None:
        """The next job with everything that it needs; None if there was none for `wait` seconds."""
        body = {
            "worker": worker,
            "capabilities": dict(capabilities),
            "numeric_profile": dict(numeric_profile),
            "wait": wait,
        }
        answer = self._call("POST", "/leases", json=body)
        claimed: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return claimed

    def prices(self, digest: str) -> bytes:
        return self._call("GET", f"/prices/{digest}").content

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **content: Any) -> httpx2.Response:
        """The answer to a request, however often it has to be sent.

        Raises LeaseLostError, RefusedError, and WorkerStoppedError.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                answer = self._http.request(method, path, **content)
            except httpx2.TransportError as error:
                trouble = str(error) or type(error).__name__
            else:
                if answer.status_code < 400:
                    return answer
                if answer.status_code < 500:
                    raise _refusal(answer)
                trouble = f"status {answer.status_code}"
            logger.warning("%s %s: %s; trying again", method, path, trouble)
            if self._stopping.wait(random.uniform(pause / 2, pause)):
                raise WorkerStoppedError(trouble)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class Lease:
    """One attempt at one job, as the API knows it."""

    def __init__(self, api: Api, claimed: Mapping[str, Any]) -> None:
        self._api = api
        self._path = f"/leases/{claimed['job_id']}/{claimed['lease_epoch']}"
        #: Events that the API has accepted.
        self._reported = 0

    def report(self, events: Sequence[ProgressEvent]) -> None:
        """Hands in events, in the order in which they happened."""
        body = {
            "first": self._reported,
            "events": [{"type": type(event).__name__, "data": event_data(event)} for event in events],
        }
        self._api._call("POST", f"{self._path}/events", json=body)
        self._reported += len(events)

    def renew(self) -> None:
        self._api._call("POST", f"{self._path}/renew")

    def cancellation(self, *, wait: float) -> float | None:
        """Seconds since a cancellation was requested; None if there was no request for `wait` seconds."""
        answer = self._api._call("GET", f"{self._path}/cancellation", params={"wait": wait})
        return float(answer.json()["age_seconds"]) if answer.status_code == 200 else None

    def upload(self, file: Path) -> None:
        self._api._call("PUT", f"{self._path}/model/{file.name}", content=file.read_bytes())

    def complete(self, completed: JobCompleted) -> str:
        """Ends the job with the model uploaded before; returns the job's status, which a cancellation can decide."""
        return self._end("complete", {"data": event_data(completed)})

    def fail(self, failed: JobFailed) -> str:
        return self._end("fail", {"data": event_data(failed)})

    def stopped(self, *, outcome: CancelOutcome, batches_after_request: int | None, where: str) -> str:
        body = {"outcome": outcome, "batches_after_request": batches_after_request, "where": where}
        return self._end("stopped", body)

    def release(self, *, message: str) -> str:
        return self._end("release", {"message": message})

    def _end(self, how: str, body: Mapping[str, Any]) -> str:
        return str(self._api._call("POST", f"{self._path}/{how}", json=body).json()["status"])


def _refusal(answer: httpx2.Response) -> Exception:
    kind = answer.headers.get("content-type", "")
    problem = answer.json() if kind.startswith("application/problem+json") else {}
    detail = str(problem.get("detail") or f"{answer.status_code} {answer.text[:500]}")
    if problem.get("errors"):
        detail += ": " + "; ".join(f"{error['path']} {error['detail']}" for error in problem["errors"])
    is_lost = problem.get("type", "").endswith((":lease-lost", ":unknown-job"))
    return LeaseLostError(detail) if is_lost else RefusedError(detail)
