"""What the client sends again and after which pause: the decision, and a service on loopback that says "later"."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from ktrdr.client import ApiError, Client, ServiceUnreachableError, connect, connect_async
from ktrdr.client.calls import Call, as_json
from ktrdr.client.retrying import pause_before_repetition, seconds_to_wait

READ: Call[Any] = Call(method="GET", path="/x", read=as_json)
CANCEL: Call[Any] = Call(method="POST", path="/x", read=as_json, repeatable=False)
REFUSED, LOST = httpx2.ConnectError("refused"), httpx2.ReadError("lost")


def answer(status: int, retry_after: str | None = None) -> httpx2.Response:
    return httpx2.Response(status, headers={"Retry-After": retry_after} if retry_after else {})


@pytest.mark.parametrize(
    ("call", "outcome", "is_repeated"),
    [
        (READ, answer(200), False),
        (READ, answer(404), False),
        (READ, answer(503), True),
        (READ, answer(503, "31"), False),
        (READ, LOST, True),
        (READ, httpx2.UnsupportedProtocol("ftp"), False),
        (CANCEL, answer(503), False),
        (CANCEL, answer(429, "1"), True),
        (CANCEL, LOST, False),
        (CANCEL, REFUSED, True),
    ],
)
def test_what_is_sent_again(call: Call[Any], outcome: Any, is_repeated: bool) -> None:
    assert (pause_before_repetition(call, 0, outcome) is not None) is is_repeated
    assert pause_before_repetition(call, 3, outcome) is None


def test_the_pause_grows_and_is_what_the_service_asks_for() -> None:
    pauses = [pause_before_repetition(READ, repetitions, LOST) or 0.0 for repetitions in range(3)]
    assert pauses == sorted(pauses)
    assert pause_before_repetition(READ, 0, answer(429, "7")) == 7.0
    tomorrow = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    assert 86_000 < seconds_to_wait(answer(503, tomorrow)) <= 86_400
    yesterday = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert [seconds_to_wait(answer(503, text)) for text in ("soon", yesterday, None)] == [0.0, 0.0, 0.0]


@contextmanager
def answering(*answers: tuple[int, dict[str, str], object]) -> Iterator[tuple[str, list[str]]]:
    """A service that gives these answers one after the other; its address, and what it was asked."""
    left, asked = list(answers), []

    class Answers(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(f"{self.command} {self.path} {self.headers.get('Idempotency-Key', '')}".strip())
            status, headers, document = left.pop(0)
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 (the names are the library's)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


LATER = (429, {"Retry-After": "0"}, {"detail": "too many at once"})


def test_a_service_that_is_busy_for_a_moment_is_asked_again_with_the_same_key() -> None:
    with answering(LATER, LATER, (202, {}, {"id": "x"})) as (url, asked), connect(url) as client:
        assert client.submit("trend_follower")["id"] == "x"
        assert len(asked) == 3
        assert len(set(asked)) == 1


def test_a_service_that_stays_busy_is_believed() -> None:
    with answering(LATER, LATER, LATER, LATER) as (url, asked), connect(url) as client:
        with pytest.raises(ApiError, match="too many at once") as refused:
            client.workers()
        assert (refused.value.status, len(asked)) == (429, 4)


def test_the_same_with_asyncio() -> None:
    async def ask(url: str) -> Any:
        async with connect_async(url) as client:
            return await client.workers()

    with answering(LATER, (200, {}, {"workers": []})) as (url, asked):
        assert asyncio.run(ask(url)) == []
        assert len(asked) == 2


@pytest.mark.parametrize("document", [[], {}, {"jobs": 3}])
def test_something_that_answers_otherwise_is_no_service(document: object) -> None:
    with (
        answering((200, {}, document)) as (url, _),
        Client(url) as client,
        pytest.raises(ServiceUnreachableError, match="no ktrdr service"),
    ):
        list(client.jobs())
