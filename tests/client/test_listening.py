"""One who follows a stream: what each thing that can happen means, without a network and without waiting."""

from __future__ import annotations

import json

import httpx2
import pytest

from ktrdr.client import ApiError, ServiceUnreachableError
from ktrdr.client.calls import Following
from ktrdr.client.stream import ComeBackLaterError, Listener

URL = "http://127.0.0.1:9"


def listener(*, timeout: float | None = None, patience_seconds: float = 10.0, after: int = 0) -> Listener[int]:
    following = Following(
        path="/events",
        read=lambda event: event["position"],
        ends=("JobCompleted",),
        timeout=timeout,
        patience_seconds=patience_seconds,
        after=after,
    )
    return Listener(following, URL, now=100.0)


def sent(kind: str, position: int) -> httpx2.ServerSentEvent:
    return httpx2.ServerSentEvent(event=kind, data=json.dumps({"type": kind, "position": position}))


def answer(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, request=httpx2.Request("GET", URL))


def test_it_goes_on_after_the_last_event_until_the_one_that_ends_it() -> None:
    ear = listener(after=7)
    assert ear.headers["Last-Event-ID"] == "7"
    assert ear.heard(sent("EpochFinished", 8), 100.0) == [8]
    assert ear.heard(httpx2.ServerSentEvent(retry=1000), 100.0) == []
    assert ear.heard(httpx2.ServerSentEvent(event="server-stopping", data="{}"), 100.0) == []
    assert (ear.headers["Last-Event-ID"], ear.is_over()) == ("8", False)
    assert ear.heard(sent("JobCompleted", 9), 100.0) == [9]
    assert ear.is_over()


def test_nothing_left_is_an_end_and_a_refusal_is_an_error() -> None:
    ear = listener()
    ear.opened(answer(204))
    assert ear.is_over()
    with pytest.raises(ApiError):
        listener().opened(answer(404))


def test_the_pauses_grow_until_the_patience_ends_and_begin_again_after_a_success() -> None:
    ear, broken = listener(), httpx2.ReadError("broken")
    assert [ear.broke(broken, 100.0) for _ in range(5)] == [0.1, 0.3, 1.0, 2.0, 2.0]
    ear.opened(answer(200))
    assert ear.broke(broken, 200.0) == 0.1
    assert ear.broke(None, 210.0) == 0.3
    with pytest.raises(ServiceUnreachableError, match="broken"):
        ear.broke(broken, 210.1)


def test_a_service_that_says_when_is_asked_then() -> None:
    ear = listener()
    with pytest.raises(ComeBackLaterError) as later:
        ear.opened(answer(503, **{"Retry-After": "4"}))
    assert ear.broke(later.value, 100.0) == 4.0


def test_a_time_limit_ends_it_in_silence_and_in_noise() -> None:
    ear = listener(timeout=20)
    assert (ear.timeout(100.0).read, ear.timeout(119.0).read) == (10.0, 1.0)
    assert ear.broke(httpx2.ReadTimeout("silent"), 110.0) == 0.0
    for late in (
        lambda: ear.timeout(120.0),
        lambda: ear.heard(sent("EpochFinished", 1), 120.0),
        lambda: ear.broke(None, 120.0),
    ):
        with pytest.raises(TimeoutError):
            late()


def test_an_address_that_is_none_is_not_tried_again() -> None:
    with pytest.raises(ServiceUnreachableError):
        listener().broke(httpx2.UnsupportedProtocol("ftp"), 100.0)
