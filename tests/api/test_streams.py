"""Live streams: whoever comes back after a break misses nothing and hears nothing twice, however many listen."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from running_service import RunningService

LISTENERS, JOBS = 10, 100
#: Mean number of events between two breaks, so that there are some 50 of them.
BETWEEN_BREAKS = 2


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    service = RunningService(tmp_path_factory.mktemp("streams") / "home")
    try:
        service.start("serve")
        service.import_samples()
        yield service
    finally:
        service.close()


def submit_some(service: RunningService, number: int) -> list[str]:
    body = {"strategy": "trend_follower", "target": "host"}
    return [service.http.post("/jobs", json=body).json()["id"] for _ in range(number)]


def events_of(service: RunningService, path: str, after: int) -> Iterator[dict[str, Any]]:
    """What a stream tells from a position on, as one connection hears it."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    with service.http.stream("GET", path, headers=headers) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: {") and line != "data: {}":
                yield json.loads(line.removeprefix("data: "))


def hear(service: RunningService, path: str, after: int, number: int, chance: random.Random) -> list[int]:
    """The positions of so many events, with a break after a few of them each time."""
    heard: list[int] = []
    while len(heard) < number:
        stream = events_of(service, path, heard[-1] if heard else after)
        few = min(chance.randint(1, 2 * BETWEEN_BREAKS - 1), number - len(heard))
        heard += [event["position"] for event in islice(stream, few)]
        stream.close()
    return heard


def test_breaks_lose_nothing_and_double_nothing(serving: RunningService) -> None:
    first = serving.client.ready()["position"]
    writing = threading.Thread(target=submit_some, args=(serving, JOBS))
    writing.start()
    heard = hear(serving, "/events", first, JOBS, random.Random(7))
    writing.join()
    assert heard == list(range(first + 1, first + JOBS + 1))


def test_many_hear_the_same(serving: RunningService) -> None:
    first = serving.client.ready()["position"]
    heard: dict[int, list[int]] = {}

    def listen(number: int) -> None:
        heard[number] = [event["position"] for event in islice(events_of(serving, "/events", first), JOBS)]

    listening = [threading.Thread(target=listen, args=(number,)) for number in range(LISTENERS)]
    for thread in listening:
        thread.start()
    submit_some(serving, JOBS)
    for thread in listening:
        thread.join()
    assert list(heard.values()) == [list(range(first + 1, first + JOBS + 1))] * LISTENERS


def test_a_job_is_heard_of_alone_and_to_its_end(serving: RunningService) -> None:
    job_id, _, other = submit_some(serving, 3)
    heard: list[dict[str, Any]] = []
    listening = threading.Thread(target=lambda: heard.extend(events_of(serving, f"/jobs/{job_id}/events", 0)))
    listening.start()
    serving.client.cancel(other)
    serving.client.cancel(job_id)
    listening.join()
    assert [event["type"] for event in heard] == ["JobSubmitted", "CancellationRequested", "JobCancelled"]
    assert {event["job_id"] for event in heard} == {job_id}
    assert [event["version"] for event in heard] == [1, 2, 3]
    page = serving.http.get(f"/jobs/{job_id}/events").json()["events"]
    assert heard == page


@pytest.mark.parametrize("where", ["header", "query"])
def test_a_job_that_has_ended_and_was_heard_of_has_no_stream(serving: RunningService, where: str) -> None:
    (job_id,) = submit_some(serving, 1)
    serving.client.cancel(job_id)
    position = serving.client.job(job_id)["position"]
    accept = {"Accept": "text/event-stream"}
    asked = {"Last-Event-ID": str(position)} if where == "header" else {}
    params = {"after": position} if where == "query" else {}
    answer = serving.http.get(f"/jobs/{job_id}/events", headers=accept | asked, params=params)
    assert answer.status_code == 204


def test_a_stream_from_far_behind_catches_up(serving: RunningService) -> None:
    submit_some(serving, JOBS)
    last = serving.client.ready()["position"]
    heard = [event["position"] for event in islice(events_of(serving, "/events", 0), last)]
    assert heard == list(range(1, last + 1))
