"""Exports over HTTP: a stream of CloudEvents that ends, and the bundle of a job."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from running_service import RunningService
from strategies import short

from ktrdr.audit.bundle import verifier
from ktrdr.jobs.identity import make_job_id

NO_JOB = make_job_id(0, bytes(10))


@pytest.fixture(scope="module")
def job_id(service: RunningService) -> str:
    found = service.client.submit(short(), symbols=["AAPL"], labels={"from": "test_exports"})["id"]
    service.wait_for(found, "completed")
    return found


def exported(service: RunningService, **query: object) -> list[dict[str, object]]:
    answer = service.http.get("/audit/export", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    *lines, rest = answer.text.split("\n")
    assert rest == ""
    return [json.loads(line) for line in lines]


def test_the_events_of_a_job_are_those_that_the_api_shows(service: RunningService, job_id: str) -> None:
    shown = list(service.client.events(job_id))
    found = exported(service, job=job_id)
    assert [(event["id"], event["time"], event["data"]) for event in found] == [
        (str(event["position"]), event["recorded_at"], event["data"]) for event in shown
    ]
    assert {event["subject"] for event in found} == {job_id}


def test_the_stream_ends_where_it_was_asked_to(service: RunningService, job_id: str) -> None:
    assert job_id
    assert [event["id"] for event in exported(service, after=2, until=6)] == ["3", "4", "5", "6"]
    assert exported(service, after=10**12) == []
    everything = exported(service)
    assert [event["id"] for event in everything] == [str(number) for number in range(1, len(everything) + 1)]
    assert len({event["source"] for event in everything}) == 1


@pytest.mark.parametrize(
    ("query", "status"),
    [({"job": NO_JOB}, 404), ({"job": "nonsense"}, 404), ({"after": -1}, 422), ({"until": "x"}, 422), ({"no": 1}, 422)],
)
def test_what_cannot_be_exported_is_a_problem(service: RunningService, query: dict[str, object], status: int) -> None:
    answer = service.http.get("/audit/export", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_bundle_is_verified_where_nothing_of_ours_is(service: RunningService, job_id: str, tmp_path: Path) -> None:
    path = service.client.bundle(job_id, tmp_path / "bundle.zip")
    (tmp_path / "verify.py").write_bytes(Path(verifier.__file__).read_bytes())
    key = service.http.get("/audit/keys").json()["keys"][0]
    command = [sys.executable, "-I", "-S", "verify.py", path, "--key", key]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("\nverified\n")
    with zipfile.ZipFile(path) as archive:
        model = sha256(archive.read("model/SHA256SUMS")).hexdigest()
    result = service.client.job(job_id)["result"]
    assert result is not None
    assert model == result["model_digest"]


def test_a_bundle_is_the_same_each_time(service: RunningService, job_id: str) -> None:
    first, second = (service.http.get(f"/jobs/{job_id}/bundle") for _ in range(2))
    assert first.headers["content-type"] == "application/zip"
    assert first.headers["content-disposition"] == f'attachment; filename="bundle-{job_id}.zip"'
    assert first.headers["etag"] == second.headers["etag"]
    assert first.content == second.content


def test_a_job_that_waits_has_a_bundle_too(service: RunningService) -> None:
    waiting = service.client.submit("trend_follower", target="host")["id"]
    content = service.http.get(f"/jobs/{waiting}/bundle").content
    service.client.cancel(waiting)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.read("events.jsonl").splitlines()) == 1


@pytest.mark.parametrize("job", [NO_JOB, "nonsense"])
def test_a_job_that_is_not_there_has_no_bundle(service: RunningService, job: str) -> None:
    answer = service.http.get(f"/jobs/{job}/bundle")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-job")
