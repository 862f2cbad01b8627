"""What the gate and the headers cost a request, beside an application that does nothing.

`python tests/benchmarks/bench_access.py`: no sockets, so that nothing else is measured; medians over rounds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ktrdr.api.access.gate import Gate
from ktrdr.api.access.headers import Protected
from ktrdr.api.access.known import TokenBook
from ktrdr.api.access.sessions import COOKIE, Sessions
from ktrdr.settings import read_settings
from ktrdr.store import Store, open_store
from ktrdr.store.tokens import create_token, digest_of

ROUNDS, REQUESTS = 15, 2_000
#: As a browser sends them.
HEADERS = [
    (b"host", b"127.0.0.1:8321"), (b"user-agent", b"x" * 80), (b"accept", b"*/*"), (b"accept-encoding", b"gzip"),
    (b"accept-language", b"en"), (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-mode", b"cors"),
    (b"referer", b"http://127.0.0.1:8321/"),
]  # fmt: skip


async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def ignore(_message: Message) -> None:
    pass


async def receive() -> Message:
    return {"type": "http.request", "body": b""}


async def timed(app: ASGIApp, state: Any, headers: list[tuple[bytes, bytes]], between: Callable[[], object]) -> float:
    """Microseconds per request; what happens between two of them is not counted."""
    spent = 0
    for _ in range(REQUESTS):
        between()
        scope: Scope = {
            "type": "http", "method": "GET", "path": "/api/v1/jobs", "raw_path": b"/api/v1/jobs", "query_string": b"",
            "headers": headers, "client": ("127.0.0.1", 5), "app": state, "state": {},
        }  # fmt: skip
        begin = time.perf_counter_ns()
        await app(scope, receive, ignore)
        spent += time.perf_counter_ns() - begin
    return spent / REQUESTS / 1000


async def measure(store: Store) -> None:
    settings = read_settings({"KTRDR_HOME": str(store.home)})
    book = TokenBook(store, operator_token=None, is_reachable=False, last_change=lambda: None)
    sessions = Sessions(store.home / "access")
    state = SimpleNamespace(state=SimpleNamespace(context=SimpleNamespace(tokens=book, sessions=sessions)))
    gated, protected = Gate(nothing, settings), Protected(nothing)
    rounds: dict[str, list[float]] = {}

    async def compare(name: str, app: ASGIApp, more: list[tuple[bytes, bytes]], between: Callable[[], object]) -> None:
        bare = await timed(nothing, state, HEADERS, lambda: None)
        rounds.setdefault("nothing", []).append(bare)
        rounds.setdefault(name, []).append(await timed(app, state, [*HEADERS, *more], between) - bare)

    for _ in range(ROUNDS):
        await compare("security headers", protected, [], lambda: None)
        await compare("gate, no token wanted", gated, [], lambda: None)
    log = store.open_log()
    secret, _ = create_token(log, "ci", scopes=["read"], expires_at=None, actor="bench")
    unlimited = read_settings({"KTRDR_HOME": str(store.home), "KTRDR_RATE_LIMIT": "off"})
    limited = read_settings({"KTRDR_HOME": str(store.home), "KTRDR_RATE_LIMIT": "100000000/second"})
    bearer = [(b"authorization", f"Bearer {secret}".encode())]
    cookie = [(b"cookie", f"{COOKIE}={sessions.begin('token:ci', digest_of(secret.encode()))}".encode())]
    for _ in range(ROUNDS):
        await compare("gate, token", Gate(nothing, unlimited), bearer, lambda: None)
        await compare("gate, token and rate", Gate(nothing, limited), bearer, lambda: None)
        await compare("gate, session", Gate(nothing, unlimited), cookie, lambda: None)
        await compare("gate, token, after a commit", Gate(nothing, unlimited), bearer, store.doorbell.ring)
    for name, values in rounds.items():
        figure(name, median(values), "µs", rounds=ROUNDS)
    log.close()
    book.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(open_store(Path(folder))))


if __name__ == "__main__":
    main()
