"""An attempt as the host worker sees it, against a real service: what is refused, what is lost, what arrives."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from jobs.job_builders import EPOCH, FINISHED, STARTED
from running_service import RunningService, wait_until
from strategies import short

from host_worker.attempt import Attempt
from host_worker.connection import Connection, LeaseLostError, RefusedError
from host_worker.lease import Worker, claim
from ktrdr.worker.messages import CheckpointWritten

WORKER = Worker(name="by-hand", capabilities={}, numeric_profile={})


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without any worker of its own."""
    service = RunningService(tmp_path_factory.mktemp("attempts") / "home")
    try:
        service.start("serve")
        service.import_samples()
        yield service
    finally:
        service.close()


@pytest.fixture(scope="module")
def connection(serving: RunningService) -> Iterator[Connection]:
    connection = Connection(serving.url, None)
    yield connection
    serving.stop("serve")  # ends the polls of attempts that are over
    wait_until(lambda: not any(thread.name.startswith("attempt") for thread in threading.enumerate()))
    connection.close()


@pytest.fixture
def claimed(serving: RunningService, connection: Connection) -> dict[str, Any]:
    serving.client.submit(short(), symbols=["GOOG"], target="host")
    found = claim(connection, WORKER, uuid.uuid4().hex, wait=0, given_up=never)
    assert found is not None
    return found


@pytest.fixture
def attempt(connection: Connection, claimed: dict[str, Any]) -> Iterator[Attempt]:
    with Attempt(connection, claimed, WORKER, never) as attempt:
        yield attempt


def recorded(service: RunningService, claimed: dict[str, Any]) -> list[str]:
    """The types of the events that were reported."""
    return [event["type"] for event in service.client.events(claimed["job_id"])][2:]


def checkpoint(folder: Path, epoch: int, data: bytes) -> CheckpointWritten:
    file = folder / f"{epoch}"
    file.write_bytes(data)
    return CheckpointWritten(epoch=epoch, digest=sha256(data).hexdigest(), bytes=len(data), file=file)


def test_what_is_told_arrives_in_order(
    serving: RunningService, claimed: dict[str, Any], attempt: Attempt, tmp_path: Path
) -> None:
    attempt.tell(STARTED)
    attempt.tell(EPOCH)
    attempt.deliver(files_given_up=never, given_up=never)
    attempt.keep(checkpoint(tmp_path, 1, b"the training after one epoch"))
    attempt.deliver(files_given_up=never, given_up=never)
    attempt.tell(FINISHED)
    attempt.deliver(files_given_up=never, given_up=never)
    assert recorded(serving, claimed) == ["StageStarted", "EpochFinished", "CheckpointSaved", "StageFinished"]
    assert list(tmp_path.iterdir()) == []  # what the service has needs no room here


def test_a_checkpoint_that_is_refused_costs_nothing_but_itself(
    serving: RunningService, claimed: dict[str, Any], attempt: Attempt, tmp_path: Path
) -> None:
    written = checkpoint(tmp_path, 1, b"the training after one epoch")
    attempt.tell(EPOCH)
    attempt.keep(replace(written, bytes=1))
    attempt.deliver(files_given_up=never, given_up=never)
    attempt.tell(replace(EPOCH, epoch=2))
    attempt.deliver(files_given_up=never, given_up=never)
    assert recorded(serving, claimed) == ["EpochFinished", "EpochFinished"]
    wait_until(lambda: not written.file.exists())


def test_a_file_that_is_another_than_it_says_is_not_sent_for_ever(attempt: Attempt, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"changed")
    with pytest.raises(RefusedError, match="they were dropped"):
        attempt.upload(file, "0" * 64, never)


def test_an_event_that_is_refused_is_told_to_whoever_follows_the_training(
    serving: RunningService, claimed: dict[str, Any], attempt: Attempt
) -> None:
    attempt.tell(STARTED)
    attempt.tell(replace(FINISHED, facts={"text": "x" * 2_000_000}))
    attempt.tell(EPOCH)
    with pytest.raises(RefusedError, match="at most"):
        attempt.deliver(files_given_up=never, given_up=never)
    with pytest.raises(RefusedError, match="at most"):
        attempt.check()
    assert recorded(serving, claimed) == ["StageStarted"]


def test_a_lease_that_someone_else_has_ends_the_attempt(
    serving: RunningService, connection: Connection, claimed: dict[str, Any], attempt: Attempt
) -> None:
    serving.http.post(f"/leases/{claimed['job_id']}/{claimed['lease_epoch']}/release", json={})
    attempt.tell(STARTED)
    with pytest.raises(LeaseLostError):
        attempt.deliver(files_given_up=never, given_up=never)
    assert recorded(serving, claimed) == ["JobRequeued"]
    claim(connection, WORKER, uuid.uuid4().hex, wait=0, given_up=never)


def test_a_cancellation_is_heard_of(serving: RunningService, claimed: dict[str, Any], attempt: Attempt) -> None:
    assert attempt.requested_at is None
    serving.client.cancel(claimed["job_id"])
    wait_until(lambda: attempt.requested_at)
    assert attempt.seconds_since_request > 0
