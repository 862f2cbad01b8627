"""The API on a full disk: it refuses what it cannot keep, goes on reading, and takes up its work without a restart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from running_service import RunningService
from small_disk import SmallDisk, limit_files, unlimit_files
from strategies import short

from ktrdr import sample

FORMAT = "application/problem+json"


@pytest.fixture
def serving(service_on_disk: RunningService) -> RunningService:
    service_on_disk.start("serve")
    service_on_disk.import_samples()
    return service_on_disk


def submit(service: RunningService, **fields: object) -> httpx2.Response:
    return service.http.post("/jobs", json={"strategy": short(), "symbols": ["AAPL"], **fields})


def test_a_submission_is_refused_with_507_and_accepted_once_there_is_room(
    serving: RunningService, small_disk: SmallDisk
) -> None:
    accepted = submit(serving).json()["id"]
    pid = serving.processes["serve"].pid
    small_disk.fill(pid)
    refused = submit(serving, labels={"which": "refused"})
    assert refused.status_code == 507
    assert refused.headers["content-type"] == FORMAT
    problem = refused.json()
    assert problem["type"] == "/problems/storage-full"
    assert str(serving.home) in problem["detail"]
    assert problem["detail"].endswith("nothing was changed")
    assert problem["fix"]
    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda _: submit(serving).status_code, range(32)))
    assert statuses == [507] * 32
    assert serving.http.post(f"/jobs/{accepted}/cancel").status_code == 507
    assert [job["id"] for job in serving.client.jobs()] == [accepted]  # reading goes on
    assert [event["type"] for event in serving.client.events(accepted)] == ["JobSubmitted"]
    assert httpx2.get(f"{serving.url}/healthz").status_code == 200
    small_disk.free(pid)
    assert submit(serving).status_code == 202
    assert serving.http.post(f"/jobs/{accepted}/cancel").status_code == 200
    assert len(list(serving.client.jobs())) == 2
    assert serving.processes["serve"].poll() is None


@pytest.mark.parametrize("small_disk", ["full file system"], indirect=True)
def test_readiness_tells_of_little_room_before_anything_fails(serving: RunningService, small_disk: SmallDisk) -> None:
    if not small_disk.prefix:
        pytest.skip("this kernel gives no file system of our own, and a limit leaves the disk as free as it was")
    assert httpx2.get(f"{serving.url}/readyz").status_code == 200
    room = small_disk.view(small_disk.folder / "some data")
    room.write_bytes(bytes(60_000_000))
    answer = httpx2.get(f"{serving.url}/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["disk"].startswith("only ")
    assert submit(serving).status_code == 202
    room.unlink()
    assert httpx2.get(f"{serving.url}/readyz").status_code == 200


def test_prices_that_do_not_fit_leave_nothing_behind(own_service: RunningService) -> None:
    own_service.start("serve")
    pid = own_service.processes["serve"].pid
    own_service.http.put("/datasets", content=b"")  # starts the process that reads files
    limit_files(10_000, pid)
    refused = own_service.http.put("/datasets", params={"filename": "p.csv.gz"}, content=sample.prices())
    assert refused.status_code == 507, refused.text
    assert refused.headers["content-type"] == FORMAT
    assert "bytes are free" in refused.json()["detail"]
    assert list((own_service.home / "prices").iterdir()) == []
    assert own_service.client.datasets() == []
    unlimit_files(pid)
    own_service.import_samples()
    assert len(own_service.client.datasets()) > 0
