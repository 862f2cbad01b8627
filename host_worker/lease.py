"""The worker protocol of the service, call by call. Imports the connection and jobs.

Every call may be repeated, and is, until it is answered; each raises LeaseLostError, RefusedError and GivenUpError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from host_worker.connection import Connection, GivenUp, GivenUpError
from host_worker.outbox import Batch
from ktrdr.jobs.codec import event_data
from ktrdr.jobs.events import CancelOutcome, JobCompleted, JobFailed
from ktrdr.jobs.workers import Beat

#: The service takes this much of a file at once.
CHUNK_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who asks for jobs, and what with."""

    name: str
    capabilities: Mapping[str, Any]
    numeric_profile: Mapping[str, Any]

    def as_body(self) -> dict[str, Any]:
        return {
            "worker": self.name,
            "capabilities": dict(self.capabilities),
            "numeric_profile": dict(self.numeric_profile),
        }


def beat(connection: Connection, said: Beat, *, given_up: GivenUp) -> float:
    """Says that a worker lives, and as what; gives the seconds until the next word is due."""
    body = {name: value for name, value in asdict(said).items() if name not in ("name", "kind")}
    answer = connection.request("PUT", f"/workers/{said.name}", json=body, given_up=given_up)
    return float(answer.json()["lease_seconds"]) / 3


def claim(
    connection: Connection, worker: Worker, claim_id: str, *, wait: float, given_up: GivenUp
) -> dict[str, Any] | None:
    """The next job with everything that it needs; None if there was none for `wait` seconds.

    Asked again under the same `claim_id`, the service gives the same job as before.
    """
    answer = connection.request(
        "POST",
        "/leases",
        json={**worker.as_body(), "claim_id": claim_id, "wait": wait},
        timeout=httpx2.Timeout(wait + 10.0, connect=5.0),
        given_up=given_up,
    )
    claimed: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
    return claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One lease on a job."""

    connection: Connection
    job_id: str
    epoch: int
    #: How long the service waits for a renewal.
    seconds: float
    given_up: GivenUp

    @property
    def path(self) -> str:
        return f"/leases/{self.job_id}/{self.epoch}"

    def report(self, batch: Batch) -> None:
        """Hands in events, in the order in which they happened."""
        events = [{"type": type(event).__name__, "data": event_data(event)} for event in batch.events]
        self._send("POST", "/events", json={"first": batch.first, "events": events})

    def renew(self) -> None:
        self._send("POST", "/renew", timeout=max(1.0, self.seconds / 3))

    def regain(self, worker: Worker) -> int:
        """The epoch of a new lease, under which the attempt goes on; nobody else has taken the job meanwhile."""
        return int(self._send("POST", "/regain", json=worker.as_body()).json()["lease_epoch"])

    def cancellation(self, *, wait: float) -> float | None:
        """Seconds since a cancellation was requested; None if there was no request for `wait` seconds."""
        timeout = wait + max(1.0, self.seconds / 6)
        answer = self._send("GET", "/cancellation", params={"wait": wait}, timeout=timeout)
        return float(answer.json()["age_seconds"]) if answer.status_code == 200 else None

    def uploaded(self, digest: str) -> tuple[int, bool]:
        """How many bytes of a file the service has, and whether that is all of it."""
        return _upload_state(self._send("GET", f"/uploads/{digest}"))

    def append(self, digest: str, file: Path, offset: int, given_up: GivenUp) -> tuple[int, bool]:
        """Sends the next part of a file, once; then as `uploaded`. Raises NoAnswerError too."""
        length = file.stat().st_size
        size = min(CHUNK_BYTES, length - offset)
        answer = self.connection.request_once(
            "PATCH",
            f"{self.path}/uploads/{digest}",
            content=_pieces(file, offset, size, given_up),
            headers={
                "Content-Length": str(size),
                "Content-Type": "application/octet-stream",
                "Upload-Offset": str(offset),
                "Upload-Length": str(length),
            },
            # Of a large file the service takes a while to compute the digest.
            timeout=httpx2.Timeout(10.0, read=60.0),
        )
        return _upload_state(answer)

    def complete(self, completed: JobCompleted, files: Mapping[str, str]) -> str:
        """Ends the job with the files uploaded before; returns its status, which a cancellation can decide."""
        return self._end("complete", {"data": event_data(completed), "files": dict(files)})

    def fail(self, failed: JobFailed) -> str:
        return self._end("fail", {"data": event_data(failed)})

    def stopped(self, *, outcome: CancelOutcome, batches_after_request: int | None, where: str) -> str:
        body = {"outcome": outcome, "batches_after_request": batches_after_request, "where": where}
        return self._end("stopped", body)

    def release(self, *, message: str) -> str:
        return self._end("release", {"message": message})

    def _end(self, how: str, body: Mapping[str, Any]) -> str:
        # A large model takes a while to be put together and checked.
        return str(self._send("POST", f"/{how}", json=body, timeout=60.0).json()["status"])

    def _send(self, method: str, path: str, **content: Any) -> httpx2.Response:
        return self.connection.request(
            method, self.path + path, given_up=self.given_up, longest_pause=self.seconds / 3, **content
        )


def _upload_state(answer: httpx2.Response) -> tuple[int, bool]:
    state = answer.json()
    return int(state["offset"]), bool(state["complete"])


def _pieces(file: Path, offset: int, size: int, given_up: GivenUp) -> Iterator[bytes]:
    with file.open("rb") as content:
        content.seek(offset)
        while size > 0:
            if given_up():
                raise GivenUpError(f"the upload of {file.name}")
            piece = content.read(min(size, _PIECE_BYTES))
            size -= len(piece)
            yield piece
