"""What the tests of the pages ask of the service itself, as plain HTTP."""

from __future__ import annotations

from typing import Any

from running_service import RunningService, wait_until

Json = dict[str, Any]


def submit(service: RunningService, strategy: object, **fields: object) -> Json:
    answer = service.http.post("/jobs", json={"strategy": strategy, **fields})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def job_of(service: RunningService, job_id: str, **query: object) -> Json:
    return dict(service.http.get(f"/jobs/{job_id}", params=query).raise_for_status().json())


def ended(service: RunningService, job_id: str, status: str) -> Json:
    """The job, once it has ended so."""
    job: Json = wait_until(lambda: _if_final(job_of(service, job_id)))
    assert job["status"] == status, job["failure"]
    return job


def cancel(service: RunningService, job_id: str, reason: str = "") -> None:
    service.http.post(f"/jobs/{job_id}/cancel", json={"reason": reason}).raise_for_status()


def events_of(service: RunningService, job_id: str) -> list[Json]:
    return list(service.http.get(f"/jobs/{job_id}/events", params={"limit": 1000}).raise_for_status().json()["events"])


def _if_final(job: Json) -> Json | None:
    return job if job["status"] in ("completed", "failed", "cancelled") else None
