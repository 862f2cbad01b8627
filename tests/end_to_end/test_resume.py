"""Whatever ends an attempt at whatever moment: the job goes on from its checkpoint, and its model is the same."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from led_training import LedTraining, led_by_the_hand
from running_service import RunningService, wait_until
from strategies import endless, trend_follower

SMALL = {"architecture": {"sequence_length": 4, "hidden_size": 6, "num_layers": 2, "dropout": 0.2}}
STRATEGIES = {
    "mlp": trend_follower(epochs=80, early_stopping=None),
    "lstm": trend_follower(epochs=24, early_stopping=None) | {"model": {"type": "lstm"} | SMALL},
    "gru": trend_follower(epochs=24, early_stopping=None) | {"model": {"type": "gru"} | SMALL},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose worker may be killed."""
    service = RunningService(tmp_path_factory.mktemp("resume") / "home", KTRDR_LEASE_SECONDS="4")
    try:
        service.start("serve", "worker", "scheduler")
        service.import_samples()
        yield service
    finally:
        service.close()


def submit(running: RunningService, strategy: dict[str, Any], **how: Any) -> str:
    return running.client.submit(
        strategy, symbols=["IBM"], seed=9, max_attempts=50, **{"checkpoint_every_epochs": 1} | how
    )["id"]


def events_of(running: RunningService, job_id: str, event_type: str) -> list[dict[str, Any]]:
    return [dict(event["data"]) for event in running.client.events(job_id) if event["type"] == event_type]


def weights_of(running: RunningService, *job_ids: str) -> dict[int, set[str]]:
    """Epoch → the digests of the weights that were reported of it."""
    found: dict[int, set[str]] = {}
    for job_id in job_ids:
        for epoch in events_of(running, job_id, "EpochFinished"):
            found.setdefault(epoch["epoch"], set()).add(epoch["weights_digest"])
    return found


def wait_for_epoch(running: RunningService, job_id: str, epoch: int) -> None:
    """Waits until an attempt is at that epoch or beyond it."""

    def is_there() -> bool:
        job = running.client.job(job_id)
        return job["status"] == "running" and job["progress"]["epoch"] >= epoch

    wait_until(is_there)


@contextmanager
def claimed(running: RunningService, job_id: str, claims: int) -> Iterator[LedTraining]:
    """The training of a job, led by the hand from soon after that claim of the job on."""
    wait_until(lambda: len(events_of(running, job_id, "JobClaimed")) == claims)
    with led_by_the_hand(running) as training:
        yield training


def kill_child(training: LedTraining) -> None:
    os.kill(training.pid, signal.SIGKILL)


def kill_worker(training: LedTraining) -> None:
    training.service.kill("worker")
    training.service.start("worker")


def stop_worker(training: LedTraining) -> None:
    assert training.stop_worker() == 0
    training.service.start("worker")


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_job_that_is_killed_again_and_again_gives_the_same_model(running: RunningService, kind: str) -> None:
    reference = submit(running, STRATEGIES[kind])
    expected = running.wait_for(reference, "completed")["result"]
    weights = weights_of(running, reference)
    moments = random.Random(kind)
    job_id = submit(running, STRATEGIES[kind])
    # Each costs a warm-up of seconds, so the recurrent ones get two of them.
    breaks = moments.sample([kill_child, kill_worker, stop_worker], 3 if kind == "mlp" else 2)
    for number, break_off in enumerate(breaks, 1):
        with claimed(running, job_id, number) as training:
            training.to_epoch(job_id, number * len(weights) // 8)
            training.go_on_for(moments.uniform(0, 0.03))  # to whatever moment of the epoch
            break_off(training)
    with claimed(running, job_id, len(breaks) + 1) as training:
        training.to_epoch(job_id, (len(breaks) + 1) * len(weights) // 8)
        training.cancel(job_id)
    running.wait_for(job_id, "cancelled")
    retried = running.client.retry(job_id, from_checkpoint=True)["id"]
    assert running.wait_for(retried, "completed")["result"] == expected
    assert weights_of(running, job_id, retried) == weights
    resumed = [*events_of(running, job_id, "TrainingResumed"), *events_of(running, retried, "TrainingResumed")]
    assert len(resumed) == len(breaks) + 1
    assert all(one["epoch"] > 0 and one["passed_over"] == [] for one in resumed)


def test_a_worker_that_stops_and_a_cancellation_keep_the_last_epoch(running: RunningService) -> None:
    job_id = submit(running, endless(), checkpoint_every_epochs=None, checkpoint_every_seconds="never")
    wait_for_epoch(running, job_id, 10)
    assert events_of(running, job_id, "CheckpointSaved") == []
    with claimed(running, job_id, 1) as training:
        stop_worker(training)

    def last_epoch() -> int:
        return int(events_of(running, job_id, "EpochFinished")[-1]["epoch"])

    (saved,) = events_of(running, job_id, "CheckpointSaved")
    wait_for_epoch(running, job_id, saved["epoch"] + 10)
    (resumed,) = events_of(running, job_id, "TrainingResumed")
    assert (resumed["epoch"], resumed["digest"]) == (saved["epoch"], saved["digest"])
    epochs = [one["epoch"] for one in events_of(running, job_id, "EpochFinished")]
    assert epochs == list(range(1, len(epochs) + 1))  # none was trained twice
    running.client.cancel(job_id)
    running.wait_for(job_id, "cancelled")
    assert events_of(running, job_id, "CheckpointSaved")[-1]["epoch"] == last_epoch()
    # A worker clears up after the job has ended; what another test's killed worker left is the scheduler's to remove.
    wait_until(lambda: list((running.home / "attempts").glob(f"{job_id}-*")) == [])


def test_a_damaged_or_missing_checkpoint_falls_back_to_the_one_before(running: RunningService) -> None:
    expected = running.wait_for(submit(running, STRATEGIES["mlp"]), "completed")["result"]
    job_id = submit(running, STRATEGIES["mlp"])

    def newest() -> list[dict[str, Any]]:
        return events_of(running, job_id, "CheckpointSaved")[:-4:-1]

    def file(checkpoint: dict[str, Any]) -> Path:
        return running.home / "checkpoints" / f"{checkpoint['digest']}.safetensors"

    def resume_without(spoil: Callable[[list[dict[str, Any]]], None]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        with claimed(running, job_id, len(events_of(running, job_id, "JobRequeued")) + 1) as training:
            training.to_epoch(job_id, running.client.job(job_id)["progress"]["epoch"] + 4)
            assert training.stop_worker() == 0
        before = len(events_of(running, job_id, "TrainingResumed"))
        saved = newest()
        spoil(saved)
        running.start("worker")
        return saved, wait_until(lambda: events_of(running, job_id, "TrainingResumed")[before:])[0]

    def tear(saved: list[dict[str, Any]]) -> None:
        os.truncate(file(saved[0]), saved[0]["bytes"] // 2)

    saved, resumed = resume_without(tear)
    assert resumed["digest"] == saved[1]["digest"]
    (passed_over,) = resumed["passed_over"]
    assert passed_over["digest"] == saved[0]["digest"]
    assert "are not those that were saved" in passed_over["problem"]

    saved, resumed = resume_without(lambda saved: file(saved[0]).unlink())
    assert resumed["digest"] == saved[1]["digest"]
    assert [one["problem"] for one in resumed["passed_over"]] == ["its file is missing"]

    saved, resumed = resume_without(lambda saved: [file(one).unlink(missing_ok=True) for one in saved] and None)
    assert (resumed["epoch"], resumed["digest"]) == (0, None)
    assert [one["digest"] for one in resumed["passed_over"]] == [one["digest"] for one in saved]

    job = running.wait_for(job_id, "completed")
    assert job["result"] == expected
    assert job["attempt"] == 1  # a worker that is told to stop spends none
    assert all(len(digests) == 1 for digests in weights_of(running, job_id).values())
