"""Jobs over HTTP as a client sees them: submission, lists, pages, events, models."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running_service import RunningService
from strategies import short

LABELS = {"desk": "rates"}


@pytest.fixture(scope="session")
def finished(service: RunningService) -> dict[str, Any]:
    """A job that has completed."""
    job_id = service.client.submit(short(), labels=LABELS, seed=3)["id"]
    return dict(service.wait_for(job_id, "completed"))


def test_an_accepted_submission_names_its_address(service: RunningService) -> None:
    answer = service.http.post("/jobs", json={"strategy": short()})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert job["status"] == "queued"
    assert service.wait_for(job["id"])["version"] > job["version"] == 1


def test_a_submission_repeated_under_its_key_is_the_same_job(service: RunningService) -> None:
    body = {"strategy": short(1), "labels": {"once": "only"}}
    first, second = (service.http.post("/jobs", json=body, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    other = service.http.post("/jobs", json=body | {"seed": 9}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert len(service.http.get("/jobs", params={"label": "once=only"}).json()["jobs"]) == 1


def test_the_whole_specification_is_in_the_first_event(service: RunningService, finished: dict[str, Any]) -> None:
    first = service.http.get(f"/jobs/{finished['id']}/events", params={"limit": 1}).json()["events"][0]
    assert first["type"] == "JobSubmitted"
    assert first["data"]["seed"] == 3
    assert first["data"]["labels"] == LABELS
    assert first["data"]["symbols"] == ["AAPL", "IBM", "MSFT"]
    assert [len(price["digest"]) for price in first["data"]["prices"]] == [64, 64, 64]
    assert first["data"]["strategy"]["training"]["epochs"] == 2
    assert finished["submission"]["strategy"] == first["data"]["strategy"]


def test_the_submission_wins_over_the_file(service: RunningService) -> None:
    given = {"symbols": ["IBM"], "start": "2005-01-01", "end": "2009-12-31", "seed": 4}
    job_id = service.http.post("/jobs", json={"strategy": "trend_follower"} | given).json()["id"]
    job = service.wait_for(job_id, "completed")
    assert (job["symbols"], job["seed"]) == (["IBM"], 4)
    facts = {event["data"]["name"]: event["data"]["facts"] for event in service.client.events(job_id)
             if event["type"] == "StageFinished"}  # fmt: skip
    assert facts["split_data"]["train"]["first"] >= "2005-01-01"
    assert facts["split_data"]["test"]["last"] < "2010-01-01"


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ({"status": "completed"}, True),
        ({"status": ["completed", "failed"]}, True),
        ({"status": "failed"}, False),
        ({"strategy": "trend_follower"}, True),
        ({"strategy": "other"}, False),
        ({"symbol": "IBM"}, True),
        ({"symbol": "GOOG", "label": "desk=rates"}, False),
        ({"label": "desk=rates"}, True),
        ({"label": ["desk=rates", "desk=fx"]}, False),
        ({"submitted_from": "2020-01-01"}, True),
        ({"submitted_until": "2020-01-01"}, False),
    ],
)
def test_a_list_holds_what_its_filter_says(
    service: RunningService, finished: dict[str, Any], query: dict[str, Any], is_found: bool
) -> None:
    assert (finished["id"] in _all(service, query)) == is_found


def _all(service: RunningService, query: dict[str, Any]) -> list[str]:
    """The ids of a whole list, read in pages of two by following the Link header."""
    url: str | None = "/jobs"
    params: dict[str, Any] | None = query | {"limit": 2}
    found: list[str] = []
    while url:
        answer = service.http.get(url, params=params)
        assert answer.status_code == 200
        found += [job["id"] for job in answer.json()["jobs"]]
        following = answer.links.get("next", {}).get("url")
        assert (following is None) == (answer.json()["next_cursor"] is None)
        url, params = (following.removeprefix("/api/v1") if following else None), None
    assert len(found) == len(set(found))
    return found


def test_a_list_is_newest_first_whatever_the_size_of_its_pages(service: RunningService) -> None:
    ids = [service.http.post("/jobs", json={"strategy": short(1), "symbols": ["FB"]}).json()["id"] for _ in range(5)]
    for job_id in ids:
        service.wait_for(job_id)
    assert _all(service, {})[:5] == ids[::-1]
    assert [job["id"] for job in service.http.get("/jobs", params={"limit": 5}).json()["jobs"]] == ids[::-1]


def test_a_job_that_has_not_changed_is_not_sent_again(service: RunningService, finished: dict[str, Any]) -> None:
    answer = service.http.get(f"/jobs/{finished['id']}")
    again = service.http.get(f"/jobs/{finished['id']}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_stream_can_begin_at_any_event_and_misses_none(service: RunningService, finished: dict[str, Any]) -> None:
    address = f"/jobs/{finished['id']}/events"
    positions = [event["position"] for event in service.http.get(address).json()["events"]]
    assert len(positions) == finished["version"]
    for cut in range(0, len(positions), 5):
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(positions[cut])}
        answer = service.http.get(address, headers=headers)
        ids = [int(line[4:]) for line in answer.text.splitlines() if line.startswith("id: ")]
        assert ids == positions[cut + 1 :]
    last = {"Accept": "text/event-stream", "Last-Event-ID": str(positions[-1])}
    assert service.http.get(address, headers=last).status_code == 204  # nothing follows: a browser shall not come back


def test_a_page_of_events_leads_to_the_next(service: RunningService, finished: dict[str, Any]) -> None:
    address: str | None = f"{service.url}/api/v1/jobs/{finished['id']}/events?limit=7"
    versions: list[int] = []
    while address:
        answer = httpx2.get(address)
        versions += [event["version"] for event in answer.json()["events"]]
        following = answer.links.get("next", {}).get("url")
        address = f"{service.url}{following}" if following else None
    assert versions == list(range(1, finished["version"] + 1))


def test_a_model_proves_itself_with_what_every_system_has(
    service: RunningService, finished: dict[str, Any], tmp_path: Path
) -> None:
    content = service.http.get(f"/jobs/{finished['id']}/model").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    listed = subprocess.run(["sha256sum", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listed.stdout.split()[0] == finished["result"]["model_digest"]


def test_predictions_from_stored_prices_and_from_bars_agree(service: RunningService, finished: dict[str, Any]) -> None:
    import numpy as np

    address = f"/jobs/{finished['id']}/predict"
    stored = service.http.post(address, json={"symbol": "IBM", "last": 3}).json()["predictions"]
    assert len(stored) == 3
    assert stored[-1]["time"].startswith("2013-03-01")
    assert sum(stored[-1][name] for name in ("buy", "hold", "sell")) == pytest.approx(1)
    digest = next(price["digest"] for price in finished["submission"]["prices"] if price["symbol"] == "IBM")
    table = np.load(io.BytesIO(service.http.get(f"/prices/{digest}").content))
    bars = [
        {"time": str(np.datetime64(int(row["time"]), "ns"))}
        | {name: float(row[name]) for name in ("open", "high", "low", "close", "volume")}
        for row in table
    ]
    sent = service.http.post(address, json={"bars": bars, "last": 3}).json()["predictions"]
    assert sent == stored
    bars[5]["low"] = bars[5]["high"] + 1
    assert service.http.post(address, json={"bars": bars}).status_code == 422


def test_a_job_without_a_model_says_so(service: RunningService) -> None:
    job_id = service.http.post("/jobs", json={"strategy": short(), "symbols": ["FB"], "target": "host"}).json()["id"]
    answer = service.http.get(f"/jobs/{job_id}/model")
    service.client.cancel(job_id)
    assert answer.status_code == 409
    assert "so it has no model" in answer.json()["detail"]


def test_a_training_that_cannot_succeed_fails_with_a_reason_and_a_remedy(service: RunningService) -> None:
    body = {"strategy": short(), "symbols": ["FB"], "start": "2013-02-25"}
    job = service.wait_for(service.http.post("/jobs", json=body).json()["id"], "failed")
    assert job["failure"]["kind"]
    assert job["failure"]["fix"]
    assert job["attempt"] == 1  # trying again would not help
    assert job["result"] is None


def test_a_strategy_can_be_kept_and_trained_by_its_name(service: RunningService) -> None:
    source = json.dumps(short(1) | {"name": "kept"})
    assert service.http.put("/strategies/kept", json={"source": source}).status_code == 200
    assert service.http.get("/strategies/kept").text == source
    assert "kept" in service.http.get("/strategies").json()["stored"]
    assert service.http.put("/strategies/other", json={"source": source}).status_code == 422
    job_id = service.http.post("/jobs", json={"strategy": "kept", "symbols": ["FB"]}).json()["id"]
    assert service.wait_for(job_id)["name"] == "kept"


def test_validation_gives_faults_or_the_meaning_and_stores_nothing(service: RunningService) -> None:
    good = service.http.post("/strategies", json={"strategy": "trend_follower"}).json()
    assert good["valid"]
    assert good["features"]
    bad = service.http.post("/strategies", json={"strategy": short() | {"model": None}}).json()
    assert not bad["valid"]
    assert bad["errors"]


def test_the_service_is_ready_and_counts_its_jobs(service: RunningService, finished: dict[str, Any]) -> None:
    answer = httpx2.get(f"{service.url}/readyz")
    assert answer.status_code == 200
    assert answer.json()["jobs"]["completed"] >= 1
    assert answer.json()["position"] >= finished["position"]


def test_to_predict_from_no_bars_at_all_is_refused(service: RunningService, finished: dict[str, Any]) -> None:
    answer = service.http.post(f"/jobs/{finished['id']}/predict", json={"bars": []})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "bars"
