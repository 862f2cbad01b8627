"""The heart: the same job gives the same model, whoever runs it."""

from __future__ import annotations

import pytest
from running_service import RunningService
from strategies import short, trend_follower

ZIGZAG = {"source": "zigzag", "zigzag_threshold": 0.03}
BARRIERS = {"source": "triple_barrier", "max_holding_period": 10, "compute_weights": True}


@pytest.mark.usefixtures("host_worker")
@pytest.mark.parametrize(
    ("strategy", "symbols"),
    [
        pytest.param(short(), ["AAPL", "IBM", "MSFT"], id="several symbols"),
        pytest.param(trend_follower(epochs=3, labels=BARRIERS), ["GOOG"], id="one symbol, weighted triple barrier"),
        pytest.param(trend_follower(epochs=3, labels=ZIGZAG, optimizer="sgd"), ["IBM"], id="one symbol, sgd"),
    ],
)
def test_a_job_gives_the_same_model_on_a_local_and_on_a_host_worker(
    service: RunningService, strategy: dict[str, object], symbols: list[str]
) -> None:
    jobs = {
        target: service.client.submit(strategy, symbols=symbols, seed=5, target=target)["id"]
        for target in ("local", "host")
    }
    results = {target: service.wait_for(job_id)["result"] for target, job_id in jobs.items()}
    assert results["local"] is not None
    assert results["local"] == results["host"]  # digests of model and weights, and every metric

    def facts(job_id: str) -> list[object]:
        events = service.client.events(job_id)
        return [
            {key: value for key, value in event["data"].items() if key != "seconds"}
            for event in events
            if event["type"] in ("StageStarted", "StageFinished", "EpochFinished", "JobCompleted")
        ]

    assert facts(jobs["local"]) == facts(jobs["host"])
    downloads = [service.http.get(f"/jobs/{job_id}/model").content for job_id in jobs.values()]
    assert downloads[0] == downloads[1]


def test_a_job_submitted_twice_gives_the_same_model(service: RunningService) -> None:
    first, second = (service.client.submit(short(), seed=11)["id"] for _ in range(2))
    assert first != second
    assert service.wait_for(first)["result"] == service.wait_for(second)["result"]


def test_another_seed_gives_another_model(service: RunningService) -> None:
    first, second = (service.client.submit(short(), seed=seed)["id"] for seed in (1, 2))
    digests = {service.wait_for(job_id)["result"]["weights_digest"] for job_id in (first, second)}
    assert len(digests) == 2
