"""Why two jobs differ, over HTTP, and trying one cause: what comes of it, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from running_service import RunningService
from strategies import short

from ktrdr import sample
from ktrdr.audit.model_check import check_model
from ktrdr.training.model_directory import PROVENANCE
from ktrdr.training.saved_model import load

UNKNOWN = "01900000-0000-7000-8000-000000000000"


def finished(service: RunningService, strategy: dict[str, Any], **how: Any) -> dict[str, Any]:
    job_id = service.client.submit(strategy, **({"symbols": ["IBM"], "seed": 3} | how))["id"]
    return dict(service.wait_for(job_id, "completed"))


@pytest.fixture(scope="module")
def a(service: RunningService) -> dict[str, Any]:
    return finished(service, short(2))


@pytest.fixture(scope="module")
def b(service: RunningService) -> dict[str, Any]:
    """Differs from A in epochs, symbols, seed and dates."""
    return finished(service, short(3), symbols=["IBM", "AAPL"], seed=4, end="2012-06-30")


def compared(service: RunningService, a: str, b: str) -> dict[str, Any]:
    return dict(service.client.why_differ(a, b))


def asked(service: RunningService, a: dict[str, Any], **body: Any) -> Any:
    return service.http.post(f"/jobs/{a['id']}/counterfactual", json=body)


def test_the_causes_and_their_effect_are_told(service: RunningService, a: dict[str, Any], b: dict[str, Any]) -> None:
    told = compared(service, a["id"], b["id"])
    assert [cause["path"] for cause in told["causes"]] == [
        "strategy.training_data.date_range.end",
        "strategy.training_data.symbols.list",
        "strategy.training.epochs",
        "seed",
    ]
    assert (told["conclusion"], told["differs"]) == ("explained", "weights")
    assert told["first_stage"]["name"] == "load_price_data"
    assert told["first_epoch"]["epoch"] == 1
    assert told["epochs_compared"] == 2
    metrics = {(one["symbol"], one["metric"]): one for one in told["metrics"]}
    accuracy = metrics[None, "accuracy"]
    assert accuracy["a"] == a["result"]["metrics"]["accuracy"]
    assert accuracy["difference"] == b["result"]["metrics"]["accuracy"] - accuracy["a"]
    assert metrics["AAPL", "accuracy"]["a"] is None


def test_the_same_job_again_has_equal_bits(service: RunningService, a: dict[str, Any]) -> None:
    again = finished(service, short(2))
    assert compared(service, a["id"], again["id"])["sentence"] == "the same training; equal bits"


def test_the_only_cause_tried_gives_the_other_ones_bits(service: RunningService, a: dict[str, Any]) -> None:
    other = finished(service, short(2), seed=9)
    answer = asked(service, a, of=other["id"], cause="seed")
    assert answer.status_code == 202, answer.text
    made = service.wait_for(answer.json()["id"], "completed")
    assert (made["relation"], made["parent"]) == ("counterfactual", a["id"])
    assert made["result"] == other["result"]
    assert compared(service, made["id"], other["id"])["conclusion"] == "same"


@pytest.mark.parametrize(
    ("cause", "paths"),
    [
        ("strategy.training.epochs", ["strategy.training.epochs"]),
        ("strategy.training_data.symbols.list", ["strategy.training_data.symbols.list"]),
        ("strategy.training_data.date_range", ["strategy.training_data.date_range.end"]),
        (
            "strategy",
            [
                "strategy.training_data.date_range.end",
                "strategy.training_data.symbols.list",
                "strategy.training.epochs",
            ],
        ),
    ],
)
def test_a_counterfactual_differs_from_its_origin_in_that_cause_alone(
    service: RunningService, a: dict[str, Any], b: dict[str, Any], cause: str, paths: list[str]
) -> None:
    answer = asked(service, a, of=b["id"], cause=cause)
    assert answer.status_code == 202, answer.text
    made = service.wait_for(answer.json()["id"], "completed")
    assert [one["path"] for one in compared(service, a["id"], made["id"])["causes"]] == paths
    assert {price["symbol"] for price in made["submission"]["prices"]} == set(made["symbols"])


def test_other_prices_under_the_same_name_are_a_cause_that_can_be_tried(own_service: RunningService) -> None:
    own_service.start("serve", "worker")
    own_service.import_samples()
    before = finished(own_service, short(2))
    header, *rows = gzip.decompress(sample.prices()).decode().splitlines()
    shorter = [row for row in rows if row.startswith("IBM,")][:-30]
    own_service.client.import_prices("\n".join([header, *shorter]).encode(), filename="prices.csv")
    after = finished(own_service, short(2))
    told = compared(own_service, before["id"], after["id"])
    (cause,) = told["causes"]
    assert (cause["kind"], cause["path"], cause["can_be_set"]) == ("data", "prices.IBM.1d", True)
    assert told["differs"] == "weights"
    answer = asked(own_service, before, of=after["id"], cause="prices.IBM.1d")
    assert own_service.wait_for(answer.json()["id"], "completed")["result"] == after["result"]


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("code_version", ["install that version of ktrdr"]),
        ("numeric_profile.threads", ["start a worker in such an environment"]),
        ("device.name", ["start a worker with that device"]),
        ("attempts", ["does not change its result"]),
        ("forked_from", ["fork the job"]),
        ("starts_from", ["retry the job from its checkpoint"]),
        ("strategy.training.epoch", ["do not differ in 'strategy.training.epoch'", "strategy.training.epochs, seed"]),
        ("prices.IBM.1d", ["do not differ in"]),
        ("", ["do not differ in ''"]),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_can(
    service: RunningService, a: dict[str, Any], b: dict[str, Any], cause: str, said: list[str]
) -> None:
    answer = asked(service, a, of=b["id"], cause=cause)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["path"] == "cause"
    assert [part for part in said if part not in f"{fault['detail']} {fault['fix']}"] == []


def test_a_strategy_that_the_one_value_makes_wrong_is_refused_as_any_other(
    service: RunningService, a: dict[str, Any]
) -> None:
    renamed = finished(service, json.loads(json.dumps(short(2)).replace('"rsi_14"', '"strength"')))
    answer = asked(service, a, of=renamed["id"], cause="strategy.fuzzy_sets.momentum.indicator")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].startswith("strategy.fuzzy_sets.momentum")


def test_a_counterfactual_of_a_fork_goes_on_from_the_same_epoch(service: RunningService) -> None:
    parent = finished(service, short(2), checkpoint_every_epochs=1)
    one, other = (
        service.wait_for(service.client.fork(parent["id"], changes={"training.epochs": 4}, seed=seed)["id"])
        for seed in (5, 6)
    )
    made = service.wait_for(service.client.counterfactual(one["id"], of=other["id"], cause="seed")["id"], "completed")
    assert made["result"] == other["result"]
    assert made["submission"]["forked_from"] == one["submission"]["forked_from"]
    answer = asked(service, dict(one), of=parent["id"], cause="strategy.training.epochs")
    assert answer.status_code == 422
    assert "none is left after epoch 2" in answer.text


def test_a_repeated_request_makes_one_job(service: RunningService, a: dict[str, Any], b: dict[str, Any]) -> None:
    path, headers = f"/jobs/{a['id']}/counterfactual", {"Idempotency-Key": "again-counterfactual"}
    body = {"of": b["id"], "cause": "seed", "priority": 3}
    first, second = (service.http.post(path, json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["priority"] == 3
    assert service.http.post(path, json=body | {"cause": "strategy"}, headers=headers).status_code == 422


def test_of_unknown_jobs_there_is_nothing(service: RunningService, a: dict[str, Any]) -> None:
    for query in ({"a": a["id"], "b": UNKNOWN}, {"a": "x", "b": a["id"]}):
        assert service.http.get("/audit/why-differ", params=query).status_code == 404
    assert service.http.get("/audit/why-differ", params={"a": a["id"]}).status_code == 422
    assert asked(service, {"id": UNKNOWN}, of=a["id"], cause="seed").status_code == 404
    assert asked(service, a, of=UNKNOWN, cause="seed").status_code == 404
    assert asked(service, a, of="x", cause="seed").status_code == 404
    assert service.http.post(f"/jobs/{a['id']}/counterfactual").status_code == 422
    assert service.http.get(f"/jobs/{UNKNOWN}/provenance").status_code == 404


def test_a_downloaded_model_brings_the_statement_that_the_service_gives(
    service: RunningService, a: dict[str, Any], tmp_path: Path
) -> None:
    answer = service.http.get(f"/jobs/{a['id']}/provenance")
    assert answer.headers["content-type"] == "application/vnd.dsse.envelope.v1+json"
    downloads = [service.http.get(f"/jobs/{a['id']}/model") for _ in range(2)]
    assert downloads[0].content == downloads[1].content
    assert downloads[0].headers["etag"] == downloads[1].headers["etag"]
    with zipfile.ZipFile(io.BytesIO(downloads[0].content)) as archive:
        archive.extractall(tmp_path)
    assert (tmp_path / PROVENANCE).read_text() == answer.text
    verdict = check_model(tmp_path)
    assert verdict.is_sound
    assert verdict.job == a["id"]
    assert load(tmp_path).digest == verdict.model_digest == a["result"]["model_digest"]


def test_a_job_that_waits_has_no_provenance(service: RunningService) -> None:
    waiting = service.client.submit(short(), symbols=["IBM"], target="host", require_gpu=True)["id"]
    answer = service.http.get(f"/jobs/{waiting}/provenance")
    service.client.cancel(waiting)
    assert answer.status_code == 409


def test_a_model_can_be_had_though_the_log_cannot_be_signed(own_service: RunningService) -> None:
    own_service.start("serve", "worker")
    own_service.import_samples()
    made = finished(own_service, short(1))
    (own_service.home / "audit").mkdir(exist_ok=True)
    (own_service.home / "audit" / "signing.key").write_text("no key\n")
    answer = own_service.http.get(f"/jobs/{made['id']}/model")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert PROVENANCE not in archive.namelist()
    refused = own_service.http.get(f"/jobs/{made['id']}/provenance")
    assert refused.status_code == 409
    assert "put back a copy" in refused.json()["fix"]
