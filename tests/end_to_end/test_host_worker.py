"""The host worker behind a network that breaks: no gap, nothing twice, and the model is the local one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from broken_network import BrokenNetwork
from history_checker import check_installation
from led_training import led_by_the_hand
from running_service import RunningService, wait_until
from strategies import endless, short, trend_follower

from ktrdr.store import open_store

#: Long enough for a network to break and heal.
EPOCHS = 300
LONG = short(EPOCHS)


@pytest.fixture(scope="module")
def undisturbed(service: RunningService) -> Any:
    """What the long training gives on a local worker, whose network cannot break."""
    job_id = service.client.submit(LONG, symbols=["GOOG"], seed=3, target="local")["id"]
    return service.wait_for(job_id, "completed")["result"]


@pytest.fixture
def network(own_service: RunningService) -> Iterator[BrokenNetwork]:
    """A service whose leases last four seconds, with a host worker behind a network of its own; its log is checked."""
    own_service.environment["KTRDR_LEASE_SECONDS"] = "4"
    own_service.start("serve", "scheduler")
    own_service.import_samples()
    with BrokenNetwork(to_port=own_service.port) as network:
        own_service.start("host-worker", KTRDR_URL=network.url)
        wait_until(lambda: worker_states(own_service) == ["alive"])
        yield network
        own_service.stop("host-worker")
    own_service.close()
    assert check_installation(open_store(own_service.home), is_over=False) == []


def worker_states(service: RunningService) -> list[str]:
    return [worker["state"] for worker in service.http.get("/workers").json()["workers"]]


def submit_long(service: RunningService) -> str:
    return service.client.submit(LONG, symbols=["GOOG"], seed=3, target="host", checkpoint_every_seconds="never")["id"]


def submit_and_stall(service: RunningService, network: BrokenNetwork) -> str:
    """The long training, in a network that stalls with the report of its first epoch; the training itself goes on."""
    network.stall_before(b"EpochFinished")
    job_id = submit_long(service)
    wait_until(lambda: network.is_stalled)
    return job_id


def wait_for_epoch(service: RunningService, job_id: str, epoch: int = 2) -> None:
    wait_until(lambda: service.client.job(job_id)["progress"]["epoch"] >= epoch)


def events_of(service: RunningService, job_id: str, *types: str) -> list[Any]:
    return [event["data"] for event in service.client.events(job_id) if event["type"] in types]


def assert_as_undisturbed(service: RunningService, job_id: str, undisturbed: Any) -> None:
    """One training, from the first epoch to the last, each told once, with the local worker's model."""
    job = service.wait_for(job_id, "completed")
    assert job["attempt"] == 1
    assert job["result"] == undisturbed
    assert [event["epoch"] for event in events_of(service, job_id, "EpochFinished")] == list(range(1, EPOCHS + 1))


@pytest.mark.parametrize("damage", ["cut", "stall"])
def test_a_training_goes_on_although_the_network_is_away_for_longer_than_the_lease(
    own_service: RunningService, network: BrokenNetwork, undisturbed: Any, damage: str
) -> None:
    job_id = submit_and_stall(own_service, network)
    if damage == "cut":
        network.refuse()
        network.cut()
    own_service.wait_for(job_id, "queued")  # the lease has run out, and nobody else is there
    network.heal()
    assert_as_undisturbed(own_service, job_id, undisturbed)
    claims = events_of(own_service, job_id, "JobClaimed")
    assert [claim["continues"] for claim in claims] == [None, 1]


def test_an_attempt_is_discarded_if_another_worker_has_taken_the_job_meanwhile(
    own_service: RunningService, network: BrokenNetwork, undisturbed: Any
) -> None:
    job_id = submit_and_stall(own_service, network)
    network.refuse()
    network.cut()
    own_service.wait_for(job_id, "queued")
    own_service.start_as("another", "host-worker")
    wait_until(lambda: own_service.client.job(job_id)["attempt"] == 2)
    network.heal()
    job = own_service.wait_for(job_id, "completed")
    assert job["attempt"] == 2
    assert job["result"] == undisturbed
    # The first worker has noticed, and works again.
    own_service.stop("another")
    again = own_service.client.submit(short(), symbols=["GOOG"], target="host")["id"]
    own_service.wait_for(again, "completed")


def test_a_training_does_not_notice_that_the_api_was_killed(
    own_service: RunningService, network: BrokenNetwork, undisturbed: Any
) -> None:
    job_id = submit_and_stall(own_service, network)
    own_service.kill("serve")
    network.heal()
    own_service.start("serve")
    wait_for_epoch(own_service, job_id)
    own_service.kill("serve")
    own_service.start("serve")
    assert_as_undisturbed(own_service, job_id, undisturbed)


def test_answers_that_are_lost_after_the_request_was_carried_out_double_nothing(
    own_service: RunningService, network: BrokenNetwork, undisturbed: Any
) -> None:
    network.lose_answers()
    job_id = submit_long(own_service)
    own_service.wait_for(job_id, "running")  # which the worker does not know
    network.stall_before(b"EpochFinished")
    wait_until(lambda: network.is_stalled)
    network.lose_answers()
    wait_for_epoch(own_service, job_id, 1)  # recorded, without the worker's knowledge
    network.heal()
    assert_as_undisturbed(own_service, job_id, undisturbed)
    assert len([claim for claim in events_of(own_service, job_id, "JobClaimed") if claim["continues"] is None]) == 1


def test_a_slow_network_does_not_slow_the_training(
    own_service: RunningService, network: BrokenNetwork, undisturbed: Any
) -> None:
    network.throttle(200_000)
    job_id = submit_long(own_service)
    assert_as_undisturbed(own_service, job_id, undisturbed)


def test_a_large_upload_goes_on_where_it_was_cut(own_service: RunningService, network: BrokenNetwork) -> None:
    strategy = trend_follower(epochs=1, early_stopping=None)
    strategy["model"]["architecture"]["hidden_layers"] = [1500, 1500]  # a model of 10 MB
    network.throttle(1_000_000)
    job_id = own_service.client.submit(strategy, symbols=["GOOG"], target="host")["id"]
    uploads = own_service.home / "uploads" / job_id

    def here() -> int:
        with suppress(FileNotFoundError):
            return max((part.stat().st_size for part in uploads.glob("*.part")), default=0)
        return 0  # finished between the two looks

    sizes = [wait_until(lambda: here() if here() > 2_000_000 else 0)]
    network.refuse()
    network.cut()
    own_service.kill("serve")
    sizes.append(here())
    own_service.start("serve")
    network.throttle(1_000_000)
    sizes.append(wait_until(lambda: here() if here() > sizes[-1] else 0))
    assert sizes == sorted(sizes)  # it never began again
    network.heal()
    assert own_service.wait_for(job_id)["status"] == "completed"
    wait_until(lambda: not uploads.exists())


def test_a_worker_that_is_told_to_stop_hands_its_job_over_with_a_checkpoint(
    own_service: RunningService, network: BrokenNetwork, undisturbed: Any
) -> None:
    with led_by_the_hand(own_service, "host-worker") as training:
        job_id = submit_long(own_service)
        training.to_epoch(job_id, 2)
        name = own_service.client.job(job_id)["worker"]
        assert training.stop_worker() == 0
    assert own_service.client.job(job_id)["status"] == "queued"
    (saved,) = events_of(own_service, job_id, "CheckpointSaved")
    (worker,) = [one for one in own_service.http.get("/workers").json()["workers"] if one["name"] == name]
    assert worker["state"] == "stopped"
    own_service.start("host-worker")
    job = own_service.wait_for(job_id, "completed")
    assert job["attempt"] == 1
    assert job["result"] == undisturbed
    (resumed,) = events_of(own_service, job_id, "TrainingResumed")
    assert (resumed["epoch"], resumed["digest"]) == (saved["epoch"], saved["digest"])


def test_an_idle_worker_stops_in_the_middle_of_its_long_poll(
    own_service: RunningService, network: BrokenNetwork
) -> None:
    assert own_service.stop("host-worker") == 0
    assert worker_states(own_service) == ["stopped"]
    own_service.start("host-worker")  # for the fixture to stop


def test_a_second_signal_ends_a_worker_at_once_and_its_job_goes_on_elsewhere(
    own_service: RunningService, network: BrokenNetwork
) -> None:
    job_id = own_service.client.submit(endless(), symbols=["GOOG"], target="host")["id"]
    wait_for_epoch(own_service, job_id)
    network.stall()  # it cannot hand its job over
    process = own_service.processes["host-worker"]
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: process.send_signal(signal.SIGTERM) or process.poll() is not None)
    assert process.returncode == 128 + signal.SIGTERM
    network.heal()
    own_service.start("host-worker")
    wait_until(lambda: own_service.client.job(job_id)["attempt"] == 2)
    own_service.client.cancel(job_id)
    own_service.wait_for(job_id, "cancelled")


def test_a_cancellation_ends_a_job_whose_upload_hangs_in_a_slow_network(
    own_service: RunningService, network: BrokenNetwork
) -> None:
    strategy = trend_follower(epochs=100_000, early_stopping=None)
    strategy["model"]["architecture"]["hidden_layers"] = [1500, 1500]
    body = {"strategy": strategy, "symbols": ["GOOG"], "target": "host", "checkpoint_every_epochs": 1}
    job_id = own_service.http.post("/jobs", json=body).json()["id"]
    wait_for_epoch(own_service, job_id, 1)
    network.throttle(100_000)  # a checkpoint would take minutes
    wait_for_epoch(own_service, job_id, 3)
    own_service.client.cancel(job_id)
    assert own_service.wait_for(job_id)["status"] == "cancelled"
    network.heal()


def test_a_worker_runs_as_many_jobs_as_it_has_slots_under_one_name(own_service: RunningService) -> None:
    own_service.start("serve")
    own_service.import_samples()
    own_service.start("host-worker", KTRDR_SLOTS="2")
    job_ids = [own_service.client.submit(endless(), symbols=["GOOG"], target="host")["id"] for _ in range(2)]
    jobs = [own_service.wait_for(job_id, "running") for job_id in job_ids]
    assert jobs[0]["worker"] == jobs[1]["worker"]
    assert own_service.stop("host-worker") == 0
    assert [own_service.client.job(job_id)["status"] for job_id in job_ids] == ["queued", "queued"]


def test_price_data_that_was_damaged_in_the_cache_is_fetched_again(own_service: RunningService) -> None:
    own_service.start("serve", "host-worker")
    own_service.import_samples()
    first = own_service.client.submit(short(), symbols=["GOOG"], target="host")["id"]
    own_service.wait_for(first, "completed")
    (kept,) = (own_service.home / "host_worker" / "files").glob("*.npy")
    damaged = bytearray(kept.read_bytes())
    damaged[-1] ^= 1
    kept.write_bytes(damaged)
    second = own_service.client.submit(short(), symbols=["GOOG"], target="host")["id"]
    assert own_service.wait_for(second, "completed")["result"] == own_service.client.job(first)["result"]
    assert kept.read_bytes() != damaged


def test_nothing_is_left_behind(own_service: RunningService) -> None:
    own_service.start("serve", "host-worker")
    own_service.import_samples()
    job_id = own_service.client.submit(short(), symbols=["GOOG"], target="host")["id"]
    own_service.wait_for(job_id, "completed")
    own_service.stop("host-worker")
    assert list((own_service.home / "host_worker" / "attempts").iterdir()) == []
    wait_until(lambda: list_of(own_service.home / "uploads") == [])


def list_of(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []
