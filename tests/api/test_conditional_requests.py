"""ETags, and what is asked for or changed only if they (do not) match; and answers that are waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import yaml
from running_service import RunningService
from strategies import short

from ktrdr import sample
from ktrdr.jobs.identity import is_job_id

TREND = sample.strategies()["trend_follower"]


@pytest.fixture
def queued(service: RunningService) -> Iterator[str]:
    """The id of a job that waits for a worker that is not there."""
    job_id = service.client.submit("trend_follower", target="host")["id"]
    yield job_id
    if service.client.job(job_id)["status"] == "queued":
        service.client.cancel(job_id)


def tag_of(service: RunningService, path: str) -> str:
    return str(service.http.get(path).headers["etag"])


def uncompressed(tag: str) -> str:
    return tag.replace('-gzip"', '"')


@pytest.mark.parametrize(
    "form",
    ["{tag}", 'W/{tag}', '"other", {tag}', '{tag} , "other"', "*", '"a,b",W/{tag}'],
)  # fmt: skip
def test_what_the_client_has_is_not_sent_again(service: RunningService, queued: str, form: str) -> None:
    path = f"/jobs/{queued}"
    tag = tag_of(service, path)
    answer = service.http.get(path, headers={"If-None-Match": form.format(tag=tag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert uncompressed(answer.headers["etag"]) == uncompressed(tag)


@pytest.mark.parametrize("header", ['"v0"', "{bare}", "nonsense", "", '"v', "W/"])
def test_what_the_client_does_not_have_is_sent(service: RunningService, queued: str, header: str) -> None:
    path = f"/jobs/{queued}"
    bare = tag_of(service, path).strip('"')
    answer = service.http.get(path, headers={"If-None-Match": header.format(bare=bare)})
    assert answer.status_code == 200
    assert answer.json()["id"] == queued


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_tag_is_known_whatever_it_was_compressed_by(service: RunningService, queued: str, encoding: str) -> None:
    path = f"/jobs/{queued}"
    first = service.http.get(path, headers={"Accept-Encoding": encoding})
    assert first.headers["etag"].endswith('-gzip"') == (encoding == "gzip")
    for other in ("gzip", "identity"):
        headers = {"If-None-Match": first.headers["etag"], "Accept-Encoding": other}
        assert service.http.get(path, headers=headers).status_code == 304


@pytest.mark.parametrize(
    "path",
    ["/jobs", "/jobs?limit=1", "/jobs/{job}", "/jobs/{job}/events", "/jobs/{job}/checkpoints", "/events?limit=5",
     "/strategies", "/strategies/trend_follower", "/strategy-schema", "/datasets", "/settings"],
)  # fmt: skip
def test_lists_and_files_have_tags(service: RunningService, queued: str, path: str) -> None:
    address = path.format(job=queued)
    tag = tag_of(service, address)
    assert service.http.get(address, headers={"If-None-Match": tag}).status_code == 304
    assert service.http.head(address).headers["etag"] == tag


def test_a_report_and_prices_have_tags(service: RunningService, trained: dict[str, Any]) -> None:
    digest = service.client.datasets()[0]["digest"]
    for path, accept in (
        (f"/jobs/{trained['id']}/report", "application/json"),
        (f"/jobs/{trained['id']}/report", "text/html"),
        (f"/prices/{digest}", "*/*"),
    ):
        first = service.http.get(path, headers={"Accept": accept})
        headers = {"Accept": accept, "If-None-Match": first.headers["etag"]}
        assert service.http.get(path, headers=headers).status_code == 304


@pytest.fixture(scope="module")
def trained(service: RunningService) -> dict[str, Any]:
    from strategies import short

    return dict(service.wait_for(service.client.submit(short(1), symbols=["GOOG"])["id"], "completed"))


def test_a_list_that_changed_has_another_tag(service: RunningService, queued: str) -> None:
    tag = tag_of(service, "/jobs?limit=1")
    service.client.cancel(queued)
    answer = service.http.get("/jobs?limit=1", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


def test_a_cancellation_can_be_for_what_was_read_only(service: RunningService, queued: str) -> None:
    path = f"/jobs/{queued}/cancel"
    refused = service.http.post(path, headers={"If-Match": '"v7", "v9-12345678"'})
    assert (refused.status_code, refused.json()["type"]) == (412, "/problems/precondition-failed")
    assert "7, 9" in refused.json()["detail"]
    assert service.client.job(queued)["status"] == "queued"
    assert service.http.post(path, headers={"If-Match": "W/" + tag_of(service, f"/jobs/{queued}")}).status_code == 412
    done = service.http.post(path, headers={"If-Match": tag_of(service, f"/jobs/{queued}")})
    assert (done.status_code, done.json()["status"]) == (200, "cancelled")


def test_a_cancellation_can_be_for_any_version(service: RunningService, queued: str) -> None:
    assert service.http.post(f"/jobs/{queued}/cancel", headers={"If-Match": "*"}).status_code == 200
    # What is impossible in any version is told as that.
    again = service.http.post(f"/jobs/{queued}/cancel", headers={"If-Match": '"v1"'})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/job-finished")


def test_what_is_no_list_of_tags_is_refused_before_anything_is_changed(service: RunningService, queued: str) -> None:
    answer = service.http.post(f"/jobs/{queued}/cancel", headers={"If-Match": "v1"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "If-Match"
    assert service.client.job(queued)["status"] == "queued"


def test_a_strategy_is_replaced_only_as_it_was_read(service: RunningService) -> None:
    name = "conditional"
    path, first = f"/strategies/{name}", named(name, seed=1)
    made = service.http.put(path, json={"source": first}, headers={"If-None-Match": "*"})
    assert made.status_code == 200, made.text
    twice = service.http.put(path, json={"source": first}, headers={"If-None-Match": "*"})
    assert (twice.status_code, twice.json()["type"]) == (412, "/problems/precondition-failed")
    tag = tag_of(service, path)
    assert uncompressed(tag) == uncompressed(made.headers["etag"])
    second = service.http.put(path, json={"source": named(name, seed=2)}, headers={"If-Match": tag})
    assert second.status_code == 200
    late = service.http.put(path, json={"source": named(name, seed=3)}, headers={"If-Match": tag})
    assert late.status_code == 412
    assert service.client.strategy(name) == named(name, seed=2)
    assert service.http.put(path, json={"source": first}, headers={"If-Match": "*"}).status_code == 200


def test_a_strategy_that_is_not_there_cannot_be_replaced(service: RunningService) -> None:
    answer = service.http.put("/strategies/absent", json={"source": named("absent")}, headers={"If-Match": "*"})
    assert answer.status_code == 412
    assert service.http.get("/strategies/absent").status_code == 404


def named(name: str, seed: int = 0) -> str:
    strategy = yaml.safe_load(TREND)
    strategy["name"], strategy["training"]["seed"] = name, seed
    return str(yaml.safe_dump(strategy))


def test_a_submission_waits_until_the_job_has_ended(service: RunningService, trained: dict[str, Any]) -> None:
    from strategies import short

    body = {"strategy": short(1), "symbols": ["GOOG"]}
    answer = service.http.post("/jobs", json=body, headers={"Prefer": "wait=60"}, timeout=90)
    # Where the machine is too slow for that, it says so in time.
    assert answer.headers["preference-applied"] == "wait=60"
    assert answer.status_code == (200 if answer.json()["status"] == "completed" else 202)
    assert is_job_id(answer.headers["location"].rpartition("/")[2])
    again = service.http.post(f"/jobs/{trained['id']}/retry", headers={"Prefer": "respond-async, wait=1;x=y"})
    assert again.headers["preference-applied"] == "wait=1"
    service.wait_for(again.json()["id"])


def test_a_submission_that_is_not_waited_for_says_when_to_ask_again(service: RunningService) -> None:
    for prefer in ({}, {"Prefer": "wait=1"}, {"Prefer": "wait=soon"}, {"Prefer": "return=minimal"}):
        answer = service.http.post("/jobs", json={"strategy": "trend_follower", "target": "host"}, headers=prefer)
        assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
        assert answer.headers.get("preference-applied") == ("wait=1" if prefer == {"Prefer": "wait=1"} else None)
        service.client.cancel(answer.json()["id"])


def test_a_job_is_waited_for_until_it_is_another(service: RunningService, queued: str) -> None:
    path = f"/jobs/{queued}"
    tag = tag_of(service, path)
    unchanged = service.http.get(path, headers={"If-None-Match": tag, "Prefer": "wait=1"})
    assert (unchanged.status_code, unchanged.headers["preference-applied"]) == (304, "wait=1")
    answers: list[httpx2.Response] = []

    def wait() -> None:
        headers = {"If-None-Match": tag, "Prefer": "wait=60"}
        answers.append(httpx2.get(f"{service.url}/api/v1{path}", headers=headers, timeout=90))

    waiting = threading.Thread(target=wait)
    waiting.start()
    service.client.cancel(queued)
    waiting.join()
    assert (answers[0].status_code, answers[0].json()["status"]) == (200, "cancelled")
    # One that has ended is not waited for.
    ended = service.http.get(path, headers={"If-None-Match": answers[0].headers["etag"], "Prefer": "wait=60"})
    assert ended.status_code == 304


def test_whoever_waits_is_answered_when_the_service_stops(own_service: RunningService) -> None:
    own_service.start("serve")
    own_service.import_samples()
    job_id = own_service.client.submit("trend_follower", target="host")["id"]
    answers: list[httpx2.Response] = []

    def wait() -> None:
        url = f"{own_service.url}/api/v1/jobs/{job_id}"
        answers.append(httpx2.get(url, headers={"Prefer": "wait=60"}, timeout=90))

    waiting = threading.Thread(target=wait)
    waiting.start()
    # Requests of one connection are answered in turn: by then the other one has been accepted too, or it is refused.
    own_service.client.job(job_id)
    threading.Event().wait(0.5)
    assert own_service.stop("serve") == 0
    waiting.join()
    assert (answers[0].status_code, answers[0].json()["status"]) == (200, "queued")


def test_a_repeated_submission_is_answered_like_the_first_although_its_job_has_ended(service: RunningService) -> None:
    body = {"strategy": short(1), "symbols": ["IBM"]}
    key = {"Idempotency-Key": "repeated-after-the-end"}
    first = service.http.post("/jobs", json=body, headers=key)
    service.wait_for(first.json()["id"], "completed")
    again = service.http.post("/jobs", json=body, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    waited = service.http.post("/jobs", json=body, headers={**key, "Prefer": "wait=1"})
    assert (waited.status_code, waited.json()["status"]) == (200, "completed")
