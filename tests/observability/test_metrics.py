"""`/metrics`: what it says of jobs is what the log says, and it says nothing that is not documented."""

from __future__ import annotations

import re
from collections import Counter

import httpx2
from observed_service import TOKEN, Observed
from running_service import wait_until
from scrapes import Scrape, by_label, scrape, value
from strategies import short

from ktrdr.api.observing.families import FAMILIES, HISTOGRAM
from ktrdr.training.run import STAGES


def scraped(observed: Observed) -> Scrape:
    return scrape(observed.service.url, TOKEN)


def test_what_is_counted_of_jobs_is_what_the_log_says(observed: Observed) -> None:
    events, found = observed.events(), scraped(observed)
    of_type = Counter(str(event["type"]) for event in events)
    assert by_label(found, "ktrdr_events_total", "type") == of_type
    assert value(found, "ktrdr_log_events") == len(events)
    assert value(found, "ktrdr_jobs_submitted_total") == of_type["JobSubmitted"]
    ends = {"completed": "JobCompleted", "failed": "JobFailed", "cancelled": "JobCancelled"}
    for status, event in ends.items():
        assert value(found, "ktrdr_jobs_ended_total", status=status) == of_type[event]
        assert value(found, "ktrdr_jobs", status=status) == of_type[event]
    assert sum(by_label(found, "ktrdr_jobs", "status").values()) == of_type["JobSubmitted"]
    claims = Counter(event["data"]["worker_kind"] for event in events if event["type"] == "JobClaimed")
    assert by_label(found, "ktrdr_claims_total", "worker_kind") == claims
    assert value(found, "ktrdr_submit_to_claim_seconds_count") == claims.total()
    assert value(found, "ktrdr_cancel_to_end_seconds_count") == of_type["JobCancelled"]
    kinds = Counter(event["data"]["kind"] for event in events if event["type"] == "JobFailed")
    assert by_label(found, "ktrdr_failures_total", "kind") == kinds


def test_what_is_counted_of_trainings_is_what_the_log_says(observed: Observed) -> None:
    events, found = observed.events(), scraped(observed)
    of_host = [event["data"] for event in events if event["job_id"] == observed.jobs["host"]]
    epochs = [one for one in of_host if "train_loss" in one]
    assert value(found, "ktrdr_training_epochs_total", worker_kind="host") == len(epochs) == 2
    (split,) = [one["facts"] for one in of_host if one.get("name") == "split_data" and "facts" in one]
    samples = split["train"]["samples"]
    assert value(found, "ktrdr_training_samples_total", worker_kind="host") == 2 * samples
    assert value(found, "ktrdr_training_batches_total", worker_kind="host") == 2 * -(-samples // 64)
    seconds = sum(epoch["seconds"] for epoch in epochs)
    assert value(found, "ktrdr_training_epoch_seconds_sum", worker_kind="host") == seconds
    finished = Counter(event["data"]["name"] for event in events if event["type"] == "StageFinished")
    assert by_label(found, "ktrdr_stage_seconds_count", "stage") == finished
    assert set(finished) == set(STAGES)


def test_the_queue_is_told_by_what_jobs_wait_for(observed: Observed) -> None:
    wish = {"strategy": short(), "symbols": ["GOOG"], "target": "host", "require_gpu": True}
    jobs = [observed.post("/jobs", wish).json()["id"] for _ in range(2)]
    found = scraped(observed)
    assert value(found, "ktrdr_queue_jobs", waits_for="host+gpu") == 2
    assert value(found, "ktrdr_jobs", status="queued") == 2
    assert value(found, "ktrdr_queue_oldest_seconds", waits_for="host+gpu") > 0
    before = value(found, "ktrdr_cancellations_total", outcome="not_started")
    for job_id in jobs:
        observed.service.client.cancel(job_id)
    found = scraped(observed)
    assert value(found, "ktrdr_queue_jobs", waits_for="host+gpu") == 0
    assert value(found, "ktrdr_jobs", status="queued") == value(found, "ktrdr_jobs", status="cancelling") == 0
    assert value(found, "ktrdr_cancellations_total", outcome="not_started") == before + 2


def test_workers_requests_and_commits_are_told(observed: Observed) -> None:
    route = "/api/v1/strategies/{name}"
    before = value(scraped(observed), "ktrdr_http_requests_total", method="GET", route=route, status="404")
    for name in ("nobody-wrote-this", "nor-this"):
        observed.service.http.get(f"/strategies/{name}")
    found = scraped(observed)
    assert value(found, "ktrdr_http_requests_total", method="GET", route=route, status="404") == before + 2
    assert value(found, "ktrdr_http_request_seconds_count", method="GET", route=route) >= 2
    assert value(found, "ktrdr_http_in_progress", sort="wait") >= 1  # the host worker asks for its next job
    assert not any("nobody-wrote-this" in str(labels) for _, labels in found)
    for kind in ("local", "host"):
        assert value(found, "ktrdr_workers", kind=kind, state="alive") == 1
        assert value(found, "ktrdr_worker_slots", kind=kind) == 1
    commits = value(found, "ktrdr_commit_seconds_count")
    assert 0 < commits <= value(found, "ktrdr_commit_operations_total")
    assert value(found, "ktrdr_database_bytes") > 0
    assert value(found, "ktrdr_wal_bytes") > 0
    assert value(found, "ktrdr_oldest_reader_seconds") == 0
    assert value(found, "ktrdr_process_resident_memory_bytes") > 0


def test_streams_are_counted_while_they_last_and_are_no_slow_requests(observed: Observed) -> None:
    def streams() -> float:
        return value(scraped(observed), "ktrdr_http_in_progress", sort="stream")

    wait_until(lambda: streams() == 0)
    with observed.service.http.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as stream:
        lines = stream.iter_lines()
        next(lines)
        assert streams() == 1
    wait_until(lambda: streams() == 0)
    found = scraped(observed)
    assert value(found, "ktrdr_http_requests_total", method="GET", route="/api/v1/events", status="200") >= 1
    assert not [line for line in observed.lines("serve") if "was slow" in line["message"] and "events" in line["route"]]


def test_everything_that_is_told_is_documented_and_the_other_way_round(observed: Observed) -> None:
    text = httpx2.get(f"{observed.service.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    told = dict(line.split(" ", 3)[2:] for line in text.splitlines() if line.startswith("# HELP"))
    kinds = dict(line.split(" ")[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    # Of these there is nothing to tell: no attempt was lost, and nothing has signed the log.
    without = {"ktrdr_requeues_total", "ktrdr_log_signed_seconds"}
    assert set(told) == set(FAMILIES) - without
    for name, family in FAMILIES.items():
        if name not in without:
            assert kinds[name] == family.kind
        if name in told and "process" not in name:
            assert told[name] == family.meaning
    for name, labels in scraped(observed):
        of_histogram = re.sub("_(bucket|sum|count)$", "", name)
        family = FAMILIES.get(name) or FAMILIES[of_histogram]
        assert (family.kind == HISTOGRAM) == (family.name != name)
        assert {label for label, _ in labels} - {"le"} == set(family.labels)


def test_a_token_is_wanted(observed: Observed) -> None:
    assert httpx2.get(f"{observed.service.url}/metrics").status_code == 401
