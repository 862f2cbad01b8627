"""The clients of a storm: each submits, cancels, retries and forks at random, and writes down what it was answered."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx2
from storm_trainings import random_submission

#: With more jobs in the queue than this, clients submit nothing new.
LONGEST_QUEUE = 12
_PAUSE_SECONDS = 0.4
_PATIENCE_SECONDS = 120.0
_TIMEOUT = httpx2.Timeout(5.0)


class Journal:
    """What was asked and answered, a JSON array a line, for `history_checker.read_journal`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._lock = threading.Lock()
        #: (idempotency key, path, body) of every submission, for repeating it.
        self.submissions: list[tuple[str, str, dict[str, Any]]] = []
        self.jobs: list[str] = []
        #: Answers that no client should ever get.
        self.surprises: list[str] = []

    def accepted(self, key: str, path: str, body: dict[str, Any], job_id: str) -> None:
        with self._lock:
            self._write("accepted", key, job_id)
            self.submissions.append((key, path, body))
            self.jobs.append(job_id)

    def cancelled(self, job_id: str, status: int | None, said: str) -> None:
        """An answer to a cancellation; no status if none came."""
        with self._lock:
            self._write("cancel", job_id, status, said)

    def surprise(self, answer: httpx2.Response) -> None:
        with self._lock:
            asked = f"{answer.request.method} {answer.request.url.path}"
            self.surprises.append(f"{asked} was answered {answer.status_code}: {answer.text[:500]}")

    def close(self) -> None:
        self._file.close()

    def _write(self, *entry: Any) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


class StormClient(threading.Thread):
    """One client. It works until `ending` is set, and repeats a submission until that is answered."""

    def __init__(self, url: str, journal: Journal, random: Random, ending: threading.Event) -> None:
        super().__init__(name="client of the storm", daemon=True)
        self._http = httpx2.Client(base_url=f"{url}/api/v1", timeout=_TIMEOUT)
        self._journal = journal
        self._random = random
        self._ending = ending

    def run(self) -> None:
        with self._http:
            while not self._ending.wait(self._random.expovariate(1 / _PAUSE_SECONDS)):
                self._act()

    def _act(self) -> None:
        if not self._journal.jobs:
            self._submit_new()
        elif self._random.random() < 0.5:
            random_act = self._random.choices(
                [self._cancel, self._repeat, self._misuse_key, self._retry, self._fork], [5, 2, 1, 2, 3]
            )[0]
            random_act()
        elif self._queue_length() < LONGEST_QUEUE:
            self._submit_new()

    def _queue_length(self) -> int:
        answer = self._ask("GET", "/jobs?status=queued&limit=100")
        return len(answer.json()["jobs"]) if answer is not None and answer.status_code == 200 else 0

    def _submit_new(self) -> None:
        self._submit("/jobs", random_submission(self._random))

    def _retry(self) -> None:
        job_id = self._random.choice(self._journal.jobs)
        self._submit(f"/jobs/{job_id}/retry", {"from_checkpoint": self._random.random() < 0.7}, may_be_refused=True)

    def _fork(self) -> None:
        job_id = self._random.choice(self._journal.jobs)
        changes = self._random.choice([{}, {"training.learning_rate": 0.002}])
        self._submit(f"/jobs/{job_id}/fork", {"changes": changes}, may_be_refused=True)

    def _submit(self, path: str, body: dict[str, Any], *, may_be_refused: bool = False) -> None:
        """Asks until there is an answer, under one idempotency key."""
        key = f"{self._random.getrandbits(64):016x}"
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (answer := self._ask("POST", path, json=body, headers={"Idempotency-Key": key})) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"POST {path} was not answered for {_PATIENCE_SECONDS} s")
            time.sleep(0.1)
        if answer.status_code == 202:
            self._journal.accepted(key, path, body, answer.json()["id"])
        elif not (may_be_refused and answer.status_code in (409, 422)):
            self._journal.surprise(answer)

    def _repeat(self) -> None:
        """The same request once more: the same job."""
        key, path, body = self._random.choice(self._journal.submissions)
        answer = self._ask("POST", path, json=body, headers={"Idempotency-Key": key})
        if answer is not None and answer.status_code == 202:
            self._journal.accepted(key, path, body, answer.json()["id"])
        elif answer is not None:
            self._journal.surprise(answer)

    def _misuse_key(self) -> None:
        """Another request under a key that was used."""
        key, path, body = self._random.choice(self._journal.submissions)
        if path == "/jobs":
            answer = self._ask("POST", path, json={**body, "seed": 99}, headers={"Idempotency-Key": key})
            if answer is not None and answer.status_code != 422:
                self._journal.surprise(answer)

    def _cancel(self) -> None:
        """Cancels a recent job mostly: queued, running, or just about to end; now and then twice."""
        jobs = self._journal.jobs
        job_id = self._random.choice(jobs if self._random.random() < 0.2 else jobs[-8:])
        for _ in range(self._random.choice([1, 1, 1, 2])):
            answer = self._ask("POST", f"/jobs/{job_id}/cancel", json={"reason": "a whim"})
            if answer is None:
                self._journal.cancelled(job_id, None, "")
            elif answer.status_code in (200, 202, 409):
                self._journal.cancelled(job_id, answer.status_code, answer.json().get("detail", ""))
            else:
                self._journal.surprise(answer)

    def _ask(self, method: str, path: str, **request: Any) -> httpx2.Response | None:
        """The answer; None if the API is away, or says that it cannot answer now."""
        try:
            answer = self._http.request(method, path, **request)
        except httpx2.TransportError:
            return None
        return None if answer.status_code == 503 else answer
