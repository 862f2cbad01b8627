"""A host worker of the tests: speaks the protocol by hand, and has a model to hand in without any training."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx2
from jobs.job_builders import COMPLETED
from running_service import RunningService
from strategies import short

from ktrdr.api.uploads import CHUNK_BYTES
from ktrdr.jobs.codec import event_data


def digest_of(data: bytes) -> str:
    return sha256(data).hexdigest()


@dataclass
class Worker:
    service: RunningService
    name: str

    def submit(self, **more: Any) -> str:
        body = {"strategy": short(), "symbols": ["GOOG"], "target": "host"} | more
        return str(self.service.http.post("/jobs", json=body).json()["id"])

    def claim(self, claim_id: str | None = None, *, wait: float = 0) -> httpx2.Response:
        body = {"worker": self.name, "claim_id": claim_id or uuid.uuid4().hex, "wait": wait}
        return self.service.http.post("/leases", json=body)

    def lease(self, **more: Any) -> Lease:
        """A lease on a new job."""
        job_id = self.submit(**more)
        claimed = self.claim().json()
        assert claimed["job_id"] == job_id
        return Lease(self.service, self.name, job_id, claimed["lease_epoch"])


@dataclass
class Lease:
    service: RunningService
    worker: str
    job_id: str
    epoch: int

    def send(self, method: str, path: str, **content: Any) -> httpx2.Response:
        return self.service.http.request(method, f"/leases/{self.job_id}/{self.epoch}{path}", **content)

    def report(self, first: int, *events: Any) -> httpx2.Response:
        told = [{"type": type(event).__name__, "data": event_data(event)} for event in events]
        return self.send("POST", "/events", json={"first": first, "events": told})

    def regain(self) -> httpx2.Response:
        return self.send("POST", "/regain", json={"worker": self.worker})

    def append(self, data: bytes, digest: str, offset: int, length: int) -> httpx2.Response:
        headers = {"Upload-Offset": str(offset), "Upload-Length": str(length)}
        return self.send("PATCH", f"/uploads/{digest}", content=data, headers=headers)

    def upload(self, data: bytes) -> str:
        digest = digest_of(data)
        for offset in range(0, max(1, len(data)), CHUNK_BYTES):
            answer = self.append(data[offset : offset + CHUNK_BYTES], digest, offset, len(data))
            assert answer.status_code == 200, answer.text
        assert answer.json() == {"offset": len(data), "complete": True}
        return digest

    def upload_model(self, **files: bytes) -> tuple[dict[str, str], str]:
        """Uploads a model of such files; gives the digests of the files, and that of the model."""
        sums = "".join(f"{digest_of(data)}  {name}\n" for name, data in sorted(files.items())).encode()
        digests = {name: self.upload(data) for name, data in {**files, "SHA256SUMS": sums}.items()}
        return digests, digest_of(sums)

    def complete(self, files: dict[str, str], model: str) -> httpx2.Response:
        data = event_data(COMPLETED) | {"model_digest": model}
        return self.send("POST", "/complete", json={"data": data, "files": files})

    def types(self) -> list[str]:
        return [event["type"] for event in self.service.client.events(self.job_id)]


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.text)["type"].rpartition("/")[2]


def unique() -> bytes:
    return os.urandom(32)
