"""The heart: the same job gives the same model, whoever runs it, and however often it was stopped on the way."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from led_training import led_by_the_hand
from running_service import RunningService
from strategies import short, trend_follower

from ktrdr.training.model_directory import PROVENANCE

pytestmark = pytest.mark.usefixtures("host_worker")

PARTS = {"local": "worker", "host": "host-worker"}
ZIGZAG = {"source": "zigzag", "zigzag_threshold": 0.03}
BARRIERS = {"source": "triple_barrier", "max_holding_period": 10, "compute_weights": True}


def recurrent(kind: str, **training: Any) -> dict[str, Any]:
    """The sample strategy with a small recurrent network."""
    strategy = trend_follower(epochs=12, early_stopping=None, **training)
    strategy["model"] = {
        "type": kind,
        "architecture": {"sequence_length": 5, "hidden_size": 8, "num_layers": 1, "dropout": 0.1},
    }
    return strategy


STRATEGIES = {
    "mlp": trend_follower(epochs=40, early_stopping=None, labels=BARRIERS),
    "mlp with sgd": trend_follower(epochs=40, labels=ZIGZAG, optimizer="sgd"),
    "lstm": recurrent("lstm"),
    "gru": recurrent("gru", labels=ZIGZAG),
}
SYMBOLS = {"one symbol": ["GOOG"], "several symbols": ["AAPL", "IBM"]}


@pytest.fixture(scope="module", params=[(strategy, symbols) for strategy in STRATEGIES for symbols in SYMBOLS], ids=str)
def job(request: pytest.FixtureRequest) -> dict[str, Any]:
    strategy, symbols = request.param
    return {"strategy": STRATEGIES[strategy], "symbols": SYMBOLS[symbols], "seed": 5, "checkpoint_every_epochs": 1}


@pytest.fixture(scope="module")
def undisturbed(service: RunningService, job: dict[str, Any]) -> dict[str, Any]:
    """The job on a local worker, from the beginning to the end."""
    return outcome(service, submit(service, job, "local"))


def submit(service: RunningService, job: dict[str, Any], target: str) -> str:
    answer = service.http.post("/jobs", json=job | {"target": target})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def outcome(service: RunningService, *job_ids: str) -> dict[str, Any]:
    """All that a job has given, without the times: of one job, or of several that each go on where the last stopped."""
    final = service.wait_for(job_ids[-1], "completed")
    events = [event for job_id in job_ids for event in service.client.events(job_id)]
    data = [(event["type"], event["data"]) for event in events]
    return {
        "result": final["result"],
        "epochs": {d["epoch"]: without_seconds(d) for kind, d in data if kind == "EpochFinished"},
        "stages": {d["name"]: without_seconds(d) for kind, d in data if kind == "StageFinished"},
        "artefact": model_files(service.http.get(f"/jobs/{job_ids[-1]}/model").content),
    }


def model_files(content: bytes) -> dict[str, bytes]:
    """The files of a downloaded model; the statement beside them names the job and its place in the log."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != PROVENANCE}


def without_seconds(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "seconds"}


def test_a_host_worker_gives_what_a_local_one_gives(
    service: RunningService, job: dict[str, Any], undisturbed: dict[str, Any]
) -> None:
    assert sorted(undisturbed["epochs"]) == list(range(1, undisturbed["result"]["epochs_trained"] + 1))
    assert len(undisturbed["stages"]) == 11
    assert outcome(service, submit(service, job, "host")) == undisturbed


@pytest.mark.parametrize(("first", "second"), [("local", "host"), ("host", "local")])
def test_a_job_that_was_cancelled_and_resumed_gives_it_too(
    service: RunningService, job: dict[str, Any], undisturbed: dict[str, Any], first: str, second: str
) -> None:
    with led_by_the_hand(service, PARTS[first]) as training:
        cancelled = submit(service, job, first)
        training.to_epoch(cancelled, 2)
        training.cancel(cancelled)
    service.wait_for(cancelled, "cancelled")
    answer = service.http.post(f"/jobs/{cancelled}/retry", json={"from_checkpoint": True, "target": second})
    assert answer.status_code == 202, answer.text
    resumed = str(answer.json()["id"])
    assert outcome(service, cancelled, resumed) == undisturbed
    epochs = [event["data"]["epoch"] for event in service.client.events(resumed) if event["type"] == "EpochFinished"]
    assert min(epochs) > 1  # those before were not trained again


def test_a_job_submitted_twice_gives_the_same_model(service: RunningService) -> None:
    first, second = (service.client.submit(short(), seed=11)["id"] for _ in range(2))
    assert first != second
    assert service.wait_for(first)["result"] == service.wait_for(second)["result"]


def test_another_seed_gives_another_model(service: RunningService) -> None:
    first, second = (service.client.submit(short(), seed=seed)["id"] for seed in (1, 2))
    digests = {service.wait_for(job_id)["result"]["weights_digest"] for job_id in (first, second)}
    assert len(digests) == 2
