"""The workers as the API knows them: what they say of themselves, which jobs they get, and why a job waits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from running_service import RunningService, wait_until
from strategies import endless, short

from ktrdr import __version__

CPU = {"device_type": "cpu", "device": "cpu", "supports_mixed_precision": False}
#: What DeviceManager says of a GPU; the tests have none.
GPU = {"device_type": "cuda", "device": "cuda:0", "supports_mixed_precision": True}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The API with the sample prices and no worker."""
    running = RunningService(tmp_path_factory.mktemp("workers") / "home")
    try:
        running.start("serve")
        running.import_samples()
        yield running
    finally:
        running.close()


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves no job in the queue and no worker alive."""
    yield
    if "api" in request.fixturenames:
        api = request.getfixturevalue("api")
        for job in api.client.jobs(status=["queued", "running"]):
            api.client.cancel(job["id"])
        for worker in api.client.workers():
            beat(api, worker["name"], state="stopped")


def beat(api: RunningService, name: str, /, **changes: Any) -> Any:
    said = {"state": "alive", "host": "box", "pid": 7, "version": "0.1.0", "slots": 1, "capabilities": CPU}
    return api.http.put(f"/workers/{name}", json=said | changes)


def claim(api: RunningService, name: str, capabilities: dict[str, Any] = CPU) -> dict[str, Any] | None:
    answer = api.http.post(
        "/leases", json={"worker": name, "claim_id": uuid4().hex, "capabilities": capabilities, "numeric_profile": {}}
    )
    return answer.json() if answer.status_code == 200 else None


def worker(api: RunningService, name: str) -> Any:
    return next((one for one in api.client.workers() if one["name"] == name), None)


def submit(api: RunningService, **asked: Any) -> str:
    return api.client.submit(short(), **asked)["id"]


def test_a_host_worker_is_shown_as_it_says_it_is(api: RunningService) -> None:
    answer = beat(api, "far-1", state="starting", slots=2, capabilities={})
    assert (answer.status_code, answer.json()) == (200, {"lease_seconds": 15.0})
    shown = worker(api, "far-1")
    assert (shown["kind"], shown["state"], shown["device"], shown["device_type"]) == ("host", "starting", None, None)
    beat(api, "far-1", slots=2, capabilities=GPU)
    shown = worker(api, "far-1")
    assert (shown["state"], shown["device"], shown["device_type"]) == ("alive", "cuda:0", "cuda")
    assert (shown["host"], shown["pid"], shown["version"], shown["slots"]) == ("box", 7, "0.1.0", 2)
    assert shown["capabilities"] == GPU
    assert shown["jobs"] == []
    assert shown["started_at"] < shown["last_seen"]


def test_a_worker_is_shown_with_what_it_runs(api: RunningService) -> None:
    beat(api, "far-2", slots=2)
    jobs = [submit(api), submit(api)]
    claimed = [claim(api, "far-2") for _ in jobs]
    report = {
        "first": 0,
        "events": [{"type": "StageStarted", "data": {"name": "split_data", "number": 7, "total": 11}}],
    }
    assert claimed[1] is not None
    api.http.post(f"/leases/{jobs[1]}/{claimed[1]['lease_epoch']}/events", json=report).raise_for_status()
    shown = worker(api, "far-2")["jobs"]
    assert [job["job_id"] for job in shown] == jobs
    assert [job["stage"] for job in shown] == [None, "split_data"]
    for job in shown:
        assert job["since"] == api.client.job(job["job_id"])["started_at"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"state": "lost"}, "state"),
        ({"slots": 0}, "slots"),
        ({"pid": "7"}, "pid"),
        ({"capabilities": []}, "capabilities"),
        ({"capabilities": {"memory": 2**60}}, "capabilities"),
        ({"name": "other"}, "name"),
        ({"host": ""}, "host"),
    ],
)
def test_a_beat_that_is_wrong_is_told_where(api: RunningService, changes: dict[str, Any], path: str) -> None:
    answer = beat(api, "far-3", **changes)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert worker(api, "far-3") is None


def test_a_name_with_spaces_is_none(api: RunningService) -> None:
    answer = beat(api, "a%20b")
    assert (answer.status_code, [error["path"] for error in answer.json()["errors"]]) == (422, ["name"])


def test_a_local_worker_tells_each_state_at_once(own_service: RunningService) -> None:
    own_service.environment["KTRDR_LEASE_SECONDS"] = "3600"  # no beat but those of a change
    own_service.start("serve", "worker", KTRDR_SLOTS="2")
    own_service.import_samples()

    def state() -> Any:
        workers = own_service.client.workers()
        return workers[0]["state"] if workers else None

    wait_until(lambda: state() in ("starting", "alive"))
    wait_until(lambda: state() == "alive")
    jobs = [own_service.client.submit(endless())["id"] for _ in range(2)]
    for job_id in jobs:
        own_service.wait_for(job_id, "running")
    (shown,) = own_service.client.workers()
    process = own_service.processes["worker"]
    assert (shown["kind"], shown["pid"], shown["version"], shown["slots"]) == ("local", process.pid, __version__, 2)
    assert shown["device"] == shown["capabilities"]["device"] == "cpu"
    assert sorted(job["job_id"] for job in shown["jobs"]) == sorted(jobs)
    assert {own_service.client.job(job_id)["worker"] for job_id in jobs} == {shown["name"]}
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    own_service.processes.pop("worker")
    assert state() == "stopped"
    assert {own_service.client.job(job_id)["status"] for job_id in jobs} == {"queued"}


def test_a_worker_that_is_killed_is_lost(own_service: RunningService) -> None:
    own_service.environment["KTRDR_LEASE_SECONDS"] = "1.5"
    own_service.start("serve", "worker", "scheduler")
    wait_until(lambda: [one["state"] for one in own_service.client.workers()] == ["alive"])
    own_service.kill("worker")
    wait_until(lambda: [one["state"] for one in own_service.client.workers()] == ["lost"])


def test_both_wishes_for_a_gpu_at_once_are_a_fault_told_with_the_others(api: RunningService) -> None:
    body = {"strategy": "trend_follower", "symbols": ["NOPE"], "require_gpu": True, "prefer_gpu": True}
    answer = api.http.post("/jobs", json=body)
    assert answer.status_code == 422
    assert {error["path"] for error in answer.json()["errors"]} == {"prefer_gpu", "symbols[0]"}
    answer = api.http.post("/jobs", json=body | {"symbols": ["IBM"]})
    assert [error["path"] for error in answer.json()["errors"]] == ["prefer_gpu"]


def test_a_job_that_requires_a_gpu_is_given_to_no_other_worker(api: RunningService) -> None:
    beat(api, "far-4")
    job_id = submit(api, require_gpu=True, target="host")
    assert claim(api, "far-4") is None
    waiting = api.client.job(job_id)["waiting"]
    assert waiting == "no host worker with a GPU is alive; without one the job fails after 30 s"
    beat(api, "far-5", capabilities=GPU)
    claimed = claim(api, "far-5", GPU)
    assert claimed is not None
    assert claimed["job_id"] == job_id
    job = api.client.job(job_id)
    assert (job["waiting"], job["worker"], job["fallback"], job["require_gpu"]) == (None, "far-5", "", True)


def test_a_job_that_would_rather_have_a_gpu_tells_why_it_has_none(api: RunningService) -> None:
    beat(api, "far-6")
    beat(api, "far-7", capabilities=GPU)
    first, second = (submit(api, prefer_gpu=True) for _ in range(2))
    assert claim(api, "far-6") is None
    assert claim(api, "far-7", GPU) is not None
    claimed = claim(api, "far-6")
    assert claimed is not None
    assert claimed["job_id"] == second
    assert api.client.job(first)["fallback"] == ""
    assert api.client.job(second)["fallback"] == "every worker with a GPU was busy"


def test_what_is_said_of_waiting_changes_with_the_etag(api: RunningService) -> None:
    job_id = submit(api, target="host")
    first = api.http.get(f"/jobs/{job_id}")
    same = {"If-None-Match": first.headers["etag"]}
    assert first.json()["waiting"] == "no host worker is alive"
    assert api.http.get(f"/jobs/{job_id}", headers=same).status_code == 304
    beat(api, "far-8")
    second = api.http.get(f"/jobs/{job_id}", headers=same)
    assert (second.status_code, second.json()["waiting"]) == (200, "it is next")


def test_how_often_checkpoints_are_saved_can_be_said(api: RunningService) -> None:
    def saved(**asked: Any) -> dict[str, Any]:
        return api.client.job(submit(api, **asked))["submission"]["checkpoints"]

    assert saved() == {"every_epochs": None, "every_seconds": 30}
    assert saved(checkpoint_every_epochs=5) == {"every_epochs": 5, "every_seconds": 30}
    assert saved(checkpoint_every_seconds="never") == {"every_epochs": None, "every_seconds": None}
    assert saved(checkpoint_every_seconds=2.5)["every_seconds"] == 2.5
