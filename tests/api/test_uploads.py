"""Files from a host worker: they go on where they were cut, and nothing is believed that was not hashed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from api.protocol_steps import Lease, Worker, digest_of, problem, unique
from running_service import RunningService, wait_until

from ktrdr.api.staging import FILE_LIMIT
from ktrdr.api.uploads import CHUNK_BYTES as CHUNK


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    service = RunningService(tmp_path_factory.mktemp("uploads") / "home")
    try:
        service.start("serve")
        service.import_samples()
        yield Worker(service, "by-hand")
    finally:
        service.close()


@pytest.fixture
def lease(worker: Worker) -> Lease:
    return worker.lease()


def here(lease: Lease, digest: str) -> object:
    return lease.send("GET", f"/uploads/{digest}").json()


def test_a_file_comes_in_parts(lease: Lease) -> None:
    data = os.urandom(CHUNK + 5)
    digest = digest_of(data)
    assert here(lease, digest) == {"offset": 0, "complete": False}
    assert lease.append(data[:CHUNK], digest, 0, len(data)).json() == {"offset": CHUNK, "complete": False}
    assert here(lease, digest) == {"offset": CHUNK, "complete": False}
    assert problem(lease.append(data[:1], digest, CHUNK + 1, len(data))) == (409, "wrong-offset")
    assert lease.append(data[:CHUNK], digest, 0, len(data)).status_code == 200  # the same part again
    assert lease.append(data[CHUNK:], digest, CHUNK, len(data)).json() == {"offset": len(data), "complete": True}
    assert lease.append(data[CHUNK:], digest, CHUNK, len(data)).json() == {"offset": len(data), "complete": True}


def test_what_had_come_of_a_part_when_the_connection_broke_is_kept(lease: Lease) -> None:
    data = os.urandom(3_000_000)
    digest = digest_of(data)
    head = (
        f"PATCH /api/v1/leases/{lease.job_id}/{lease.epoch}/uploads/{digest} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(data)}\r\nUpload-Offset: 0\r\nUpload-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", lease.service.port)) as connection:
        connection.sendall(head.encode() + data[:2_000_000])
        wait_until(lambda: here(lease, digest) != {"offset": 0, "complete": False})
    offset = wait_until(lambda: here(lease, digest) == {"offset": 2_000_000, "complete": False} and 2_000_000)
    lease.service.kill("serve")
    lease.service.start("serve")
    assert here(lease, digest) == {"offset": offset, "complete": False}
    assert lease.append(data[offset:], digest, offset, len(data)).json()["complete"]


def test_a_file_that_is_another_than_announced_is_dropped_and_told(lease: Lease) -> None:
    digest = digest_of(b"announced")
    assert problem(lease.append(b"something", digest, 0, 9)) == (409, "damaged-upload")
    assert here(lease, digest) == {"offset": 0, "complete": False}
    assert lease.append(b"announced", digest, 0, 9).json() == {"offset": 9, "complete": True}


@pytest.mark.parametrize("data", [b"", b"x" * 70_000])
def test_a_file_may_be_empty_or_come_at_once(lease: Lease, data: bytes) -> None:
    assert lease.append(data, digest_of(data), 0, len(data)).json() == {"offset": len(data), "complete": True}


def test_there_are_limits(lease: Lease) -> None:
    digest = "0" * 64
    assert problem(lease.append(b"x", digest, 0, FILE_LIMIT + 1)) == (413, "too-large")
    assert problem(lease.append(b"12345", digest, 0, 4)) == (413, "too-large")
    assert problem(lease.append(b"x" * (CHUNK + 1), digest, 0, 2 * CHUNK)) == (413, "too-large")
    assert problem(lease.append(b"x", "..%2f..%2fetc", 0, 1))[0] in (404, 422)
    assert problem(lease.send("PATCH", f"/uploads/{digest}", content=b"x")) == (422, "invalid-request")


def test_a_model_is_put_together_and_checked_before_its_job_completes(lease: Lease) -> None:
    files, model = lease.upload_model(**{"weights.safetensors": unique(), "model.json": b"{}"})
    twice = files | {"model.json": files["weights.safetensors"]}
    without = {name: digest for name, digest in files.items() if name != "model.json"}
    assert problem(lease.complete({**files, "more": "0" * 64}, model)) == (409, "missing-upload")
    assert problem(lease.complete(without, model)) == (409, "damaged-model")
    assert problem(lease.complete(twice, model)) == (
        409,
        "damaged-model",
    )
    assert problem(lease.complete(files, "0" * 64)) == (409, "damaged-model")
    assert problem(lease.complete({"../escape": files["model.json"]}, model)) == (422, "invalid-request")
    assert problem(lease.complete({"a": "../../escape"}, model)) == (422, "invalid-request")
    assert lease.service.client.job(lease.job_id)["status"] == "running"
    assert lease.complete(files, model).json()["status"] == "completed"
    assert lease.complete(files, model).json()["status"] == "completed"  # whoever did not hear it asks again
    assert lease.types().count("JobCompleted") == 1
    folder = lease.service.home / "models" / model
    assert {path.name for path in folder.iterdir()} == set(files)
    wait_until(lambda: not (lease.service.home / "uploads" / lease.job_id).exists())


def test_what_was_uploaded_serves_the_next_attempt_until_the_job_runs_no_more(worker: Worker) -> None:
    lease = worker.lease()
    digest = lease.upload(unique())
    staged = lease.service.home / "uploads" / lease.job_id
    assert (staged / digest).exists()
    lease.send("POST", "/release", json={})
    wait_until(lambda: not staged.exists())
    worker.claim()


def test_price_data_goes_on_where_it_was_cut(worker: Worker) -> None:
    (digest,) = {one["digest"] for one in worker.service.client.datasets() if one["symbol"] == "GOOG"}
    whole = worker.service.http.get(f"/prices/{digest}")
    assert digest_of(whole.content) == digest
    rest = worker.service.http.get(f"/prices/{digest}", headers={"Range": "bytes=100-"})
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    beyond = worker.service.http.get(f"/prices/{digest}", headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416
