"""What the middleware tells of requests that break or are slow, of an application of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from ktrdr.api.correlation import Correlated
from ktrdr.api.observing import traffic
from ktrdr.api.observing.traffic import Observed, Traffic, was_logged
from ktrdr.logs import JsonLines


async def breaks(_request: Request) -> Response:
    raise RuntimeError("nobody foresaw this")


async def answers(_request: Request) -> Response:
    return Response("here")


async def page(request: Request) -> Response:
    return Response(request.path_params["name"])


async def streams(_request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        yield "data: 1\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@pytest.fixture
def counted() -> Traffic:
    return Traffic()


@pytest.fixture
def ask(counted: Traffic, caplog: pytest.LogCaptureFixture) -> Callable[..., list[dict[str, Any]]]:
    """Asks for a path, and gives the lines that were logged."""
    app = Starlette(
        routes=[
            Route("/breaks/{number:int}", breaks),
            Route("/answers", answers, methods=["GET", "POST"]),
            Route("/streams", streams),
            Mount("/pages", routes=[Route("/{name}", page)]),
        ],
        middleware=[Middleware(Correlated), Middleware(Observed, traffic=counted, spans=None, logs_every=False)],
    )
    caplog.handler.setFormatter(JsonLines("serve", ()))

    def ask(path: str, **headers: str) -> list[dict[str, Any]]:
        caplog.clear()

        async def once() -> None:
            transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.get(path, headers={"X-Request-Id": "r1", **headers})

        with caplog.at_level(logging.INFO, logger="ktrdr"):
            asyncio.run(once())
        return [json.loads(line) for line in caplog.text.splitlines()]

    return ask


Ask = Callable[..., list[dict[str, Any]]]


def test_a_request_that_breaks_is_told_once_with_its_id_and_the_traceback(
    ask: Ask, counted: Traffic, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = ask("/breaks/7")
    assert (line["level"], line["message"], line["request_id"]) == ("error", "GET /breaks/{number} broke", "r1")
    assert line["exception"].endswith("RuntimeError: nobody foresaw this")
    assert counted.requests == {("GET", "/breaks/{number}", 500): 1}
    (record,) = caplog.records
    assert record.exc_info
    assert record.exc_info[1] is not None
    assert was_logged(record.exc_info[1])


def test_slow_requests_are_warned_of_but_not_those_that_wait_on_purpose(
    ask: Ask, counted: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("/answers") == []
    monkeypatch.setattr(traffic, "SLOW_SECONDS", -1.0)
    (line,) = ask("/answers")
    assert (line["level"], line["message"], line["status"]) == ("warning", "GET /answers was slow", 200)
    assert ask("/answers?wait=20") == ask("/answers", Prefer="wait=20") == ask("/streams") == []
    assert counted.requests == {("GET", "/answers", 200): 4, ("GET", "/streams", 200): 1}
    assert {key: durations.count for key, durations in counted.seconds.items()} == {("GET", "/answers"): 2}
    assert set(counted.in_progress.values()) == {0}


def test_there_are_as_many_routes_as_the_service_has_whatever_is_asked_for(ask: Ask, counted: Traffic) -> None:
    for path in ("/nowhere", "/elsewhere", "/pages/one", "/pages/two"):
        ask(path)
    assert {route for _, route, _ in counted.requests} == {"unmatched", "/pages/{name}"}
