"""What can be set while the service runs: default target, fairness and caps, and who set them when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running_service import RunningService
from strategies import short

from ktrdr.jobs.events import Target
from ktrdr.settings import read_settings
from ktrdr.training.faults import InvalidInputError


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    service = RunningService(tmp_path_factory.mktemp("settings") / "home", KTRDR_DEFAULT_TARGET="local")
    try:
        service.start("serve")
        service.import_samples()
        yield service
    finally:
        service.close()


@pytest.fixture
def api(running: RunningService) -> Iterator[RunningService]:
    """The API with the sample prices, no worker, nothing set and KTRDR_DEFAULT_TARGET=local."""
    yield running
    running.client.change_settings({"default_target": None, "fair_by": None, "caps": None})
    for job in running.client.jobs(status=["queued"]):
        running.client.cancel(job["id"])


def submit(api: RunningService, **asked: Any) -> Any:
    return api.client.submit(short(), **asked)


def test_nothing_is_set_at_first(api: RunningService) -> None:
    shown: Any = api.client.settings()
    assert [shown[name]["value"] for name in ("default_target", "fair_by", "caps")] == ["local", None, {}]
    assert [shown[name]["is_set"] for name in ("default_target", "fair_by", "caps")] == [False] * 3


def test_the_target_is_that_of_the_request_then_what_is_set_then_the_environments(api: RunningService) -> None:
    assert submit(api)["target"] == "local"
    api.client.change_settings({"default_target": "host"})
    assert submit(api)["target"] == "host"
    assert submit(api, target="auto")["target"] == "auto"
    api.client.change_settings({"default_target": None})
    assert submit(api)["target"] == "local"


def test_who_changed_a_setting_is_kept_even_if_it_went_back_to_the_default(api: RunningService) -> None:
    changed = api.client.change_settings({"fair_by": "desk"})["fair_by"]
    assert (changed["value"], changed["is_set"], changed["changed_by"]) == ("desk", True, "client:127.0.0.1")
    reset = api.client.change_settings({"fair_by": None})["fair_by"]
    assert (reset["value"], reset["is_set"], reset["changed_by"]) == (None, False, "client:127.0.0.1")
    assert (reset["changed_at"] or "") > (changed["changed_at"] or "")


def test_a_share_is_that_of_the_submission(api: RunningService) -> None:
    before = submit(api, labels={"desk": "rates"})
    api.client.change_settings({"fair_by": "desk"})
    assert submit(api, labels={"desk": "rates", "who": "anna"})["share"] == "desk=rates"
    assert submit(api, labels={"who": "anna"})["share"] == ""
    assert api.client.job(before["id"])["share"] == ""


def test_caps_are_changed_one_by_one(api: RunningService) -> None:
    api.client.change_settings({"fair_by": "desk", "caps": {"desk=rates": 2, "desk=fx": 1}})
    changed = api.client.change_settings({"caps": {"desk=fx": None, "*": 4}})
    assert changed["caps"]["value"] == {"desk=rates": 2, "*": 4}
    assert changed["fair_by"]["value"] == "desk"
    assert api.client.change_settings({"caps": {"desk=rates": None, "*": None}})["caps"]["is_set"] is False


def test_a_cap_that_is_reached_is_why_a_job_waits(api: RunningService) -> None:
    said = {"state": "alive", "host": "box", "pid": 7, "version": "0.1.0", "slots": 3, "capabilities": {}}
    api.http.put("/workers/far-1", json=said).raise_for_status()
    api.client.change_settings({"fair_by": "desk", "caps": {"desk=rates": 1}})
    first, second, other = (
        submit(api, target="host", labels={"desk": desk})["id"] for desk in ("rates", "rates", "fx")
    )
    given = [api.http.post("/leases", json={"worker": "far-1", "claim_id": str(number)}) for number in range(3)]
    assert [answer.status_code for answer in given] == [200, 200, 204]
    assert [answer.json()["job_id"] for answer in given[:2]] == [first, other]
    assert api.client.job(second)["waiting"] == "the cap of desk=rates (1) is reached"
    api.client.change_settings({"caps": {"desk=rates": 2}})
    assert api.http.post("/leases", json={"worker": "far-1", "claim_id": "3"}).json()["job_id"] == second


def test_a_worker_that_waits_is_given_the_job_once_its_cap_is_lifted(api: RunningService) -> None:
    api.client.change_settings({"caps": {"*": 0}})
    job_id = submit(api, target="host")["id"]
    assert api.http.post("/leases", json={"worker": "far-2", "claim_id": "a"}).status_code == 204
    api.client.change_settings({"caps": None})
    answer = api.http.post("/leases", json={"worker": "far-2", "claim_id": "b", "wait": 30})
    assert answer.json()["job_id"] == job_id


def test_a_cap_without_effect_is_told(api: RunningService) -> None:
    warnings = api.client.change_settings({"caps": {"desk=rates": 2, "*": 9}})["warnings"]
    assert warnings == ["the cap of desk=rates holds for older jobs only: fair_by is not set now"]
    assert api.client.change_settings({"fair_by": "desk"})["warnings"] == []


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"default_target": "moon"}, {"default_target"}),
        ({"fair_by": "a b"}, {"fair_by"}),
        ({"caps": {"rates": 2}}, {"caps.rates"}),
        ({"caps": {"desk=rates": -1, "desk=fx": "2"}}, {"caps.desk=rates", "caps.desk=fx"}),
        ({"caps": 3, "colour": 1, "fair_by": ""}, {"caps", "colour", "fair_by"}),
        ([], {""}),
    ],
)
def test_every_fault_is_told_and_nothing_is_changed(api: RunningService, body: Any, paths: set[str]) -> None:
    before = api.client.settings()
    answer = api.http.patch("/settings", json=body)
    assert answer.status_code == 422, answer.text
    assert {error["path"] for error in answer.json()["errors"]} == paths
    assert api.client.settings() == before


@pytest.mark.parametrize(
    ("environment", "target"),
    [
        ({}, Target.AUTO),
        ({"USE_TRAINING_HOST_SERVICE": "true"}, Target.HOST),
        ({"USE_TRAINING_HOST_SERVICE": "Off"}, Target.LOCAL),
        ({"USE_TRAINING_HOST_SERVICE": " "}, Target.AUTO),
        ({"USE_TRAINING_HOST_SERVICE": "true", "KTRDR_DEFAULT_TARGET": "auto"}, Target.AUTO),
        ({"USE_TRAINING_HOST_SERVICE": "true", "KTRDR_DEFAULT_TARGET": ""}, Target.HOST),
    ],
)
def test_the_default_target_of_the_environment(environment: dict[str, str], target: Target) -> None:
    assert read_settings(environment).default_target is target


def test_a_switch_that_is_neither_on_nor_off_is_a_fault() -> None:
    with pytest.raises(InvalidInputError, match="'perhaps' is not possible"):
        read_settings({"USE_TRAINING_HOST_SERVICE": "perhaps"})
