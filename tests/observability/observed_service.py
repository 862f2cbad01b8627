"""A service with everything that tells of it turned on, which has run a job of every kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from otlp_receiver import OtlpReceiver
from running_service import RunningService, wait_until
from strategies import endless, short

TOKEN = "a-token-that-nobody-shall-ever-read"
CALLER = "0af7651916cd43dd8448eb211c80319c"
CALLER_SPAN = "b7ad6b7169203331"


@dataclass(frozen=True)
class Observed:
    service: RunningService
    collector: OtlpReceiver
    #: What the job is for → its id: local, host, cancelled, failed.
    jobs: Mapping[str, str]

    def log_of(self, part: str) -> str:
        return (self.service.home.parent / f"{part}.log").read_text()

    def lines(self, part: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_of(part).splitlines()]

    def lines_of(self, part: str, job: str) -> list[dict[str, Any]]:
        return [line for line in self.lines(part) if line.get("job_id") == self.jobs[job]]

    def post(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        answer = self.service.http.post(path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer

    def events(self) -> list[Mapping[str, Any]]:
        """The whole log."""
        found: list[Mapping[str, Any]] = []
        while page := self.service.http.get("/events", params={"after": len(found), "limit": 1000}).json()["events"]:
            found += page
        return found


def run_jobs(service: RunningService) -> dict[str, str]:
    wishes = {
        "local": {"strategy": short(), "target": "local", "checkpoint_every_epochs": 1},
        "host": {"strategy": short(), "target": "host", "checkpoint_every_epochs": 1},
        "failed": {"strategy": short(), "target": "local", "start": "2020-01-02", "end": "2020-01-06"},
        "cancelled": {"strategy": endless(), "target": "local"},
    }
    jobs: dict[str, str] = {}
    for name, wish in wishes.items():
        of_trace = {"traceparent": f"00-{CALLER}-{CALLER_SPAN}-01"} if name in ("local", "host") else {}
        headers = {"X-Request-Id": f"submits-{name}", **of_trace}
        body = {"symbols": ["GOOG"], "seed": 4, **wish}
        answer = service.http.post("/jobs", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        jobs[name] = answer.json()["id"]
    wait_until(lambda: service.client.job(jobs["cancelled"])["progress"]["epoch"] > 1)
    service.client.cancel(jobs["cancelled"])
    ends = {name: service.wait_for(job_id)["status"] for name, job_id in jobs.items()}
    assert ends == {"local": "completed", "host": "completed", "failed": "failed", "cancelled": "cancelled"}
    return jobs
