"""A cancellation, from the request to the receipt in the job's last event."""

from __future__ import annotations

import re
from typing import Any

import pytest
from led_training import led_by_the_hand
from running_service import RunningService, wait_until
from strategies import endless, short

from ktrdr.client import ApiError

PARTS = {"local": "worker", "host": "host-worker"}


def batches_since(events: list[Any], request: Any, where: str) -> int:
    """How many batches lie between the last epoch that had been recorded before the request and the end of it all."""
    epoch, batch = map(int, re.findall(r"\d+", where))
    before = [event["data"] for event in events[: request["version"] - 1] if event["type"] == "EpochFinished"]
    in_an_epoch = next(event["data"]["batches"] for event in events if event["type"] == "BatchProgressed")
    return int((epoch - before[-1]["epoch"] - 1) * in_an_epoch + batch)


@pytest.mark.usefixtures("host_worker")
@pytest.mark.parametrize("target", PARTS)
def test_a_running_job_stops_and_its_receipt_says_where(service: RunningService, target: str) -> None:
    with led_by_the_hand(service, PARTS[target]) as training:
        job_id = service.client.submit(endless(), target=target)["id"]
        training.to_epoch(job_id, 2)
        training.cancel(job_id, reason="seen enough")
    job = service.wait_for(job_id)
    assert job["status"] == "cancelled"
    assert job["cancellation"]["outcome"] == "stopped"
    assert job["cancellation"]["reason"] == "seen enough"
    assert job["result"] is None
    events = list(service.client.events(job_id))
    request = next(event for event in events if event["type"] == "CancellationRequested")
    end = events[-1]
    assert end["type"] == "JobCancelled"
    assert end["data"]["request_version"] == request["version"]
    assert end["data"]["where"].startswith("epoch ")
    # The local job process looks into the log before each batch, where one may just begin; the other one hears of it.
    most = 1 if target == "local" else batches_since(events, request, end["data"]["where"])
    assert 0 <= end["data"]["batches_after_request"] <= most


def test_a_queued_job_that_is_cancelled_never_starts(own_service: RunningService) -> None:
    own_service.start("serve")
    own_service.import_samples()
    job_id = own_service.client.submit(short())["id"]
    assert own_service.client.cancel(job_id)["status"] == "cancelled"
    later = own_service.client.submit(short())["id"]
    own_service.start("worker")
    assert own_service.wait_for(later)["status"] == "completed"  # the worker was there, and took this one only
    types = [event["type"] for event in own_service.client.events(job_id)]
    assert types == ["JobSubmitted", "CancellationRequested", "JobCancelled"]


def test_cancelling_twice_is_one_request(service: RunningService) -> None:
    job_id = service.client.submit(endless())["id"]
    wait_until(lambda: service.client.job(job_id)["progress"]["epoch"] >= 1)
    answers = [service.http.post(f"/jobs/{job_id}/cancel").status_code for _ in range(2)]
    assert answers in ([202, 202], [202, 409])  # the job may have stopped in between
    service.wait_for(job_id, "cancelled")
    types = [event["type"] for event in service.client.events(job_id)]
    assert types.count("CancellationRequested") == 1


def test_a_completed_job_cannot_be_cancelled(service: RunningService) -> None:
    job_id = service.client.submit(short())["id"]
    service.wait_for(job_id, "completed")
    with pytest.raises(ApiError, match="already completed") as refused:
        service.client.cancel(job_id)
    assert refused.value.status == 409
    assert service.client.job(job_id)["status"] == "completed"


def test_of_a_cancellation_and_a_completion_one_wins_and_the_caller_hears_which(service: RunningService) -> None:
    for _ in range(8):
        job_id = service.client.submit(short(1))["id"]
        wait_until(lambda job_id=job_id: service.client.job(job_id)["progress"]["stage"] == "evaluate_model"
                   or service.client.job(job_id)["status"] == "completed")  # fmt: skip
        answer = service.http.post(f"/jobs/{job_id}/cancel").status_code
        assert service.wait_for(job_id)["status"] == {202: "cancelled", 409: "completed"}[answer]
        ends = [e for e in service.client.events(job_id) if e["type"] in ("JobCompleted", "JobCancelled", "JobFailed")]
        assert len(ends) == 1
