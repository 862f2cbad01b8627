"""Retries and forks over HTTP: what is accepted, what is refused and why, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from running_service import RunningService, wait_until
from strategies import endless, trend_follower

STRATEGY = trend_follower(epochs=6, early_stopping=None, lr_scheduler=None)


def submit(service: RunningService, **how: Any) -> str:
    body = {"strategy": STRATEGY, "symbols": ["IBM"], "seed": 3, "checkpoint_every_epochs": 2} | how
    answer = service.http.post("/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def parent(service: RunningService) -> dict[str, Any]:
    """A completed job with checkpoints of the epochs 2, 4 and 6."""
    return dict(service.wait_for(submit(service, labels={"desk": "rates"}, priority=5), "completed"))


def forked(service: RunningService, parent: dict[str, Any], **body: Any) -> Any:
    return service.http.post(f"/jobs/{parent['id']}/fork", json=body)


def problem_of(answer: Any) -> str:
    """Everything that a problem says."""
    return f"{answer.status_code} {answer.text}"


def test_a_retry_is_the_same_training(service: RunningService, parent: dict[str, Any]) -> None:
    answer = service.http.post(f"/jobs/{parent['id']}/retry")
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["parent"], job["relation"], job["checkpoint"]) == (parent["id"], "retry", None)
    assert (job["labels"], job["priority"]) == ({"desk": "rates"}, 5)
    done = service.wait_for(job["id"])
    assert done["result"] == parent["result"]
    assert done["submission"]["prices"] == parent["submission"]["prices"]
    assert done["progress"]["resumed_from"] == 0


def test_a_retry_may_run_in_another_way(service: RunningService, parent: dict[str, Any]) -> None:
    changes = {"target": "local", "priority": -3, "labels": {"desk": "fx"}, "max_attempts": 7}
    job = service.client.retry(parent["id"], **changes)
    assert {name: job[name] for name in changes} == changes
    assert service.wait_for(job["id"])["result"] == parent["result"]


def test_a_retry_from_the_checkpoint_goes_on_and_ends_the_same(service: RunningService, parent: dict[str, Any]) -> None:
    job = service.client.retry(parent["id"], from_checkpoint=True)
    assert job["checkpoint"]["epoch"] == 6
    done = service.wait_for(job["id"])
    assert done["result"] == parent["result"]
    assert done["progress"]["resumed_from"] == 6


def test_a_job_that_runs_cannot_be_retried_but_forked(service: RunningService) -> None:
    job_id = submit(service, strategy=endless(), checkpoint_every_epochs=1)
    wait_until(lambda: service.client.checkpoints(job_id))
    answer = service.http.post(f"/jobs/{job_id}/retry")
    assert answer.status_code == 409
    assert "is running" in answer.json()["detail"]
    epoch = service.client.checkpoints(job_id)[0]["epoch"]
    fork_id = service.client.fork(job_id, epoch=epoch, changes={"training.epochs": epoch + 1})["id"]
    service.client.cancel(job_id)
    assert service.wait_for(job_id, "cancelled")
    done = service.wait_for(fork_id, "completed")
    assert (done["relation"], done["result"]["epochs_trained"]) == ("fork", epoch + 1)


def test_a_job_without_checkpoints_says_so(service: RunningService) -> None:
    job_id = submit(service, checkpoint_every_epochs=None)
    service.wait_for(job_id, "completed")
    retried = service.http.post(f"/jobs/{job_id}/retry", json={"from_checkpoint": True})
    assert retried.status_code == 409
    assert "no checkpoint to go on from" in retried.json()["detail"]
    answer = service.http.post(f"/jobs/{job_id}/fork", json={"changes": {"training.epochs": 9}})
    assert answer.status_code == 409
    assert "checkpoint_every_epochs" in answer.json()["fix"]


def test_the_checkpoints_of_a_job_are_listed(service: RunningService, parent: dict[str, Any]) -> None:
    found = service.client.checkpoints(parent["id"])
    assert [one["epoch"] for one in found] == [2, 4, 6]
    files = [service.home / "checkpoints" / f"{one['digest']}.safetensors" for one in found]
    assert [file.stat().st_size for file in files] == [one["bytes"] for one in found]


def test_a_fork_with_more_epochs_is_the_training_of_so_many(service: RunningService, parent: dict[str, Any]) -> None:
    longer = trend_follower(epochs=9, early_stopping=None, lr_scheduler=None)
    whole = service.wait_for(submit(service, strategy=longer), "completed")
    for body in ({}, {"epoch": 2}):
        answer = forked(service, parent, changes={"training.epochs": 9}, **body)
        job = service.wait_for(answer.json()["id"], "completed")
        assert job["result"]["weights_digest"] == whole["result"]["weights_digest"]
        assert job["progress"]["resumed_from"] == body.get("epoch", 6)
        assert job["submission"]["strategy"] == whole["submission"]["strategy"]


def test_the_same_fork_twice_gives_the_same_model_and_so_does_its_retry(
    service: RunningService, parent: dict[str, Any]
) -> None:
    changes = {"training.epochs": 10, "training.optimizer.learning_rate": 0.01, "model.architecture.dropout": 0.5}
    ids = [service.client.fork(parent["id"], epoch=4, changes=changes, seed=8)["id"] for _ in range(2)]
    first, second = (service.wait_for(job_id, "completed") for job_id in ids)
    assert first["result"] == second["result"]
    assert first["seed"] == 8
    assert first["submission"]["strategy"]["training"]["optimizer"]["learning_rate"] == 0.01
    for from_checkpoint in (False, True):
        retried = service.client.retry(first["id"], from_checkpoint=from_checkpoint)["id"]
        assert service.wait_for(retried, "completed")["result"] == first["result"]
    other = service.client.fork(parent["id"], epoch=4, changes=changes, seed=9)["id"]
    assert service.wait_for(other, "completed")["result"]["weights_digest"] != first["result"]["weights_digest"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"changes": {"training.epoch": 9}}, ["422", "changes.training.epoch", "the nearest known key is 'epochs'"]),
        ({"changes": {"trainig.epochs": 9}}, ["422", "changes.trainig", "'training'"]),
        ({"changes": {"training.epochs": 6}}, ["422", "changes.training.epochs", "more than 6"]),
        ({"changes": {}}, ["422", "none is left after epoch 6"]),
        ({"changes": {"training.epochs": "many"}}, ["422", "changes.training.epochs"]),
        ({"changes": {"training.epochs": 9, "training.seed": 4}}, ["422", "give it as seed"]),
        (
            {"changes": {"training.epochs": 9, "model.architecture.hidden_layers": [5]}},
            ["422", "changes.model", "train it anew"],
        ),
        (
            {"changes": {"training.epochs": 9, "training_data.symbols.list": ["AAPL"]}},
            ["422", "changes.training_data.symbols", "this cannot change"],
        ),
        ({"epoch": 3, "changes": {"training.epochs": 9}}, ["409", "no checkpoint of epoch 3", "2, 4, 6"]),
        ({"epoch": 0}, ["422", "epoch"]),
        ({"unknown": 1}, ["422", "is not known here"]),
    ],
)
def test_a_fork_that_cannot_be_says_what_is_wrong(
    service: RunningService, parent: dict[str, Any], body: dict[str, Any], said: list[str]
) -> None:
    told = problem_of(forked(service, parent, **body))
    assert [part for part in said if part not in told] == []


def test_a_fork_whose_weights_do_not_fit_fails_and_says_what_differs(
    service: RunningService, parent: dict[str, Any]
) -> None:
    answer = forked(service, parent, changes={"training.epochs": 9, "training.labels": {"source": "regime"}})
    assert answer.status_code == 202, answer.text
    job = service.wait_for(answer.json()["id"], "failed")
    assert job["failure"]["kind"] == "fork_does_not_fit"
    assert "now" in job["failure"]["message"]
    assert job["failure"]["fix"]


def test_a_repeated_request_makes_one_job(service: RunningService, parent: dict[str, Any]) -> None:
    for how, body in (("retry", {"priority": 1}), ("fork", {"changes": {"training.epochs": 7}})):
        path, headers = f"/jobs/{parent['id']}/{how}", {"Idempotency-Key": f"again-{how}"}
        first, second = (service.http.post(path, json=body, headers=headers) for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json()["id"] == second.json()["id"]
        other = service.http.post(f"/jobs/{first.json()['id']}/{how}", json=body, headers=headers)
        assert other.json()["type"] == "/problems/idempotency-key-reused"
        service.wait_for(first.json()["id"])


@pytest.mark.parametrize("how", ["retry", "fork", "checkpoints"])
def test_of_an_unknown_job_there_is_nothing(service: RunningService, how: str) -> None:
    path = f"/jobs/01900000-0000-7000-8000-000000000000/{how}"
    answer = service.http.get(path) if how == "checkpoints" else service.http.post(path)
    assert answer.status_code == 404
