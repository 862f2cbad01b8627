"""What a client gives back to go on with: a job that is followed, awaited, repeated, and asked for its result."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from running_service import RunningService

from ktrdr import connect, connect_async, sample
from ktrdr.client import JobCancelledError, JobFailedError
from ktrdr.jobs.events import EpochFinished, JobCompleted, JobSubmitted

SHORT = sample.strategies()["trend_follower"].replace("epochs: 40", "epochs: 3")
ENDLESS = SHORT.replace("epochs: 3", "epochs: 100000").replace("  early_stopping", "  # early_stopping")


def test_a_training_is_followed_to_its_result(service: RunningService, tmp_path: Path) -> None:
    job = service.client.train(SHORT, symbols=["IBM"], labels={"from": "handles"})
    happened = list(job.follow())
    assert isinstance(happened[0].event, JobSubmitted)
    assert isinstance(happened[-1].event, JobCompleted)
    assert [one.event.epoch for one in happened if isinstance(one.event, EpochFinished)] == [1, 2, 3]
    assert str(happened[-1]).startswith("completed after 3 epochs")
    result = job.result()
    assert (job.status, job.metrics) == ("completed", result["metrics"])
    assert job.wait() == service.client.job(job.id)
    assert [one.view for one in job.events()] == list(service.client.events(job.id))
    assert [one.position for one in job.events(after=happened[-2].position)] == [happened[-1].position]
    assert job.model(tmp_path / "model.zip").read_bytes()[:2] == b"PK"
    assert job.predict(symbol="IBM", last=2) == service.client.predict(job.id, symbol="IBM", last=2)
    again = job.retry(labels={"from": "again"})
    assert again.result()["model_digest"] == result["model_digest"]
    assert service.client.attach(again.id).view["parent"] == job.id

    epochs = job.history()
    assert list(epochs.index) == [1, 2, 3]
    assert epochs["train_loss"].tolist() == [
        one.event.train_loss for one in happened if isinstance(one.event, EpochFinished)
    ]
    assert str(epochs["recorded_at"].dt.tz) == "UTC"
    frame = service.client.jobs_frame(label=["from=handles"])
    assert list(frame.index) == [job.id]
    assert frame.loc[job.id, "metrics.accuracy"] == result["metrics"]["accuracy"]
    assert frame.loc[job.id, "label.from"] == "handles"
    assert service.client.jobs_frame(label=["from=nobody"]).empty


def test_a_fork_that_is_cancelled_has_no_result(service: RunningService) -> None:
    job = service.client.train(SHORT, symbols=["IBM"], checkpoint_every_epochs=1)
    assert job.wait()["status"] == "completed"
    fork = job.fork(changes={"training.epochs": 4}, target="host")
    assert (fork.view["relation"], fork.view["parent"]) == ("fork", job.id)
    with pytest.raises(TimeoutError):
        fork.wait(timeout=0.2)
    fork.cancel(reason="nobody needs it")
    with pytest.raises(JobCancelledError, match="nobody needs it") as cancelled:
        fork.result()
    assert cancelled.value.kind == "not_started"
    assert fork.history().empty


def test_a_job_that_failed_says_why(service: RunningService) -> None:
    with pytest.raises(JobFailedError) as failed:
        service.client.train(SHORT, symbols=["IBM"], start="2015-01-01", end="2015-01-20").result()
    failure = failed.value.job["failure"]
    assert failure is not None
    assert (failed.value.kind, failed.value.fix) == (failure["kind"], failure["fix"])
    assert str(failure["message"]) in str(failed.value)


def test_the_same_with_asyncio(service: RunningService) -> None:
    async def train_several() -> None:
        async with connect_async(service.url) as client:
            jobs = await asyncio.gather(*(client.train(SHORT, symbols=["IBM"], seed=seed) for seed in (1, 2)))
            for job in jobs:
                happened = [one async for one in job.follow()]
                assert happened[-1].view == [event async for event in client.events(job.id)][-1]
            digests = [(await job.result())["model_digest"] for job in jobs]
            assert len(set(digests)) == 2
            assert {job.id for job in jobs} <= {one["id"] async for one in client.jobs(limit=50)}
            assert list((await jobs[0].history()).index) == [1, 2, 3]
            assert set((await client.jobs_frame(limit=2)).index) == {job.id for job in jobs}
            waiting = await client.train(SHORT, target="host")
            with pytest.raises(TimeoutError):
                await waiting.wait(timeout=0.2)
            await waiting.cancel()
            with pytest.raises(JobCancelledError):
                await waiting.result()
            assert (await client.ready())["status"] == "ok"

    asyncio.run(train_several())


def test_a_file_is_trained_by_its_name(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SHORT)
    with connect(service.url) as client:
        for given in (str(tmp_path / "mine.yaml"), tmp_path / "mine.yaml"):
            job = client.train(given, target="host")
            assert job.view["progress"]["epochs"] in (0, 3)
            job.cancel()
            assert client.job(job.id)["submission"]["strategy"]["training"]["epochs"] == 3
    with pytest.raises(FileNotFoundError):
        service.client.train("nowhere.yaml")


def test_progress_is_told_in_a_pipe(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    job = service.client.train(SHORT, symbols=["IBM"])
    list(job.follow(show=True))
    told = capsys.readouterr()
    assert "epoch 3 of 3: loss" in told.err
    assert told.out == ""


def test_endless_trainings_can_be_left(service: RunningService) -> None:
    job = service.client.train(ENDLESS, symbols=["IBM"])
    for happened in job.follow():
        if isinstance(happened.event, EpochFinished):
            break
    assert job.refresh()["status"] == "running"
    job.cancel()
    assert job.wait()["status"] == "cancelled"
