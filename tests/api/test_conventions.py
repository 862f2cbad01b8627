"""What every address of the API has in common: methods, compression, limits, other origins, headers."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from running_service import RunningService

from ktrdr.api.routes import OPERATIONS

PATHS = sorted({operation.path for operation in OPERATIONS if "{" not in operation.path})
PAGE = "https://research.example.com"


@pytest.mark.parametrize("path", PATHS)
def test_every_address_says_what_is_possible(service: RunningService, path: str) -> None:
    methods = {operation.method for operation in OPERATIONS if operation.path == path}
    expected = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    asked = httpx2.request("OPTIONS", service.url + path)
    assert (asked.status_code, set(asked.headers["allow"].split(", "))) == (204, expected)
    wrong = httpx2.request("TRACE", service.url + path)
    assert (wrong.status_code, set(wrong.headers["allow"].split(", "))) == (405, expected)
    assert wrong.json()["type"] == "/problems/method-not-allowed"


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/events", "/healthz", "/openapi.json", "/api/v1/nothing"])
def test_head_is_get_without_the_body(service: RunningService, path: str) -> None:
    plain = {"Accept-Encoding": "identity"}
    head, get = (httpx2.request(method, service.url + path, headers=plain) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    for header in ("content-type", "etag"):
        assert head.headers.get(header) == get.headers.get(header)


def test_the_head_of_a_stream_ends(service: RunningService) -> None:
    answer = service.http.head("/events", headers={"Accept": "text/event-stream"}, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


@pytest.mark.parametrize("path", ["/openapi.json", "/problems", "/api/v1/strategies/trend_follower"])
def test_what_is_large_and_text_is_compressed_for_those_who_accept_it(service: RunningService, path: str) -> None:
    address = service.url + path
    small = httpx2.get(address, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert (small.headers["content-encoding"], small.headers["vary"]) == ("gzip", "Accept-Encoding")
    for refused in ("identity", "gzip;q=0, br", "gzip; q=0.0"):
        large = httpx2.get(address, headers={"Accept-Encoding": refused})
        assert "content-encoding" not in large.headers
        assert int(small.headers["content-length"]) < int(large.headers["content-length"]) / 1.5
        assert small.content == large.content


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/settings"])
def test_what_is_small_is_not_compressed(service: RunningService, path: str) -> None:
    answer = httpx2.get(service.url + path, headers={"Accept-Encoding": "gzip"})
    assert len(answer.content) < 1024
    assert "content-encoding" not in answer.headers


def test_a_stream_is_not_compressed(service: RunningService) -> None:
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
    with service.http.stream("GET", "/events", headers=headers) as stream:
        assert "content-encoding" not in stream.headers
        assert next(stream.iter_lines()) == "retry: 1000"


def test_a_part_of_a_file_is_not_compressed_and_can_be_asked_for(service: RunningService) -> None:
    digest = service.client.datasets()[0]["digest"]
    whole = service.http.get(f"/prices/{digest}")
    part = service.http.get(f"/prices/{digest}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    for nonsense in ("bytes=x", "lines=1-2", "bytes=9-1", "bytes=", "bytes=1-2,4-5"):
        answer = service.http.get(f"/prices/{digest}", headers={"Range": nonsense})
        assert (answer.status_code, answer.content) == (200, whole.content)
    beyond = service.http.get(f"/prices/{digest}", headers={"Range": f"bytes={len(whole.content)}-"})
    assert (beyond.status_code, beyond.json()["type"]) == (416, "/problems/range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(whole.content)}"


@pytest.mark.parametrize(
    ("path", "headers", "status", "name"),
    [
        pytest.param("/jobs?cursor=" + "x" * 9000, {}, 414, "address-too-long", id="a long query"),
        pytest.param("/strategies/" + "x" * 9000, {}, 414, "address-too-long", id="a long path"),
        pytest.param("/jobs?" + "&".join(["label=a=b"] * 300), {}, 414, "address-too-long", id="many parameters"),
        pytest.param("/jobs", {"X-Long": "x" * 40_000}, 431, "headers-too-large", id="large headers"),
        pytest.param("/jobs?limit=501", {}, 422, "invalid-request", id="a large page"),
        pytest.param("/events?limit=1001", {}, 422, "invalid-request", id="a large page of events"),
        pytest.param(f"/events?after={2**80}", {}, 422, "invalid-request", id="a position beyond all"),
        pytest.param("/leases/x/" + "9" * 5000 + "/cancellation", {}, 404, "not-found", id="a number of 5,000 digits"),
    ],
)  # fmt: skip
def test_what_is_beyond_a_limit_is_refused(
    service: RunningService, path: str, headers: dict[str, str], status: int, name: str
) -> None:
    answer = service.http.get(path, headers=headers)
    assert answer.status_code == status, answer.text[:300]
    assert answer.json()["type"].rpartition("/")[2] in (name, "unknown-job")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_a_head_without_end_ends_the_connection(service: RunningService) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        sent = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Endless: "
        answered = b""
        try:
            for _ in range(1000):
                connection.sendall(sent)
                sent = b"x" * 10_000
            answered = connection.recv(4096)
        except ConnectionError:
            pass  # ended while it was sent
        assert answered == b"" or answered.startswith(b"HTTP/1.1 431 ")


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("levels", [300, 10_000, 60_000])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/jobs", '{{"strategy": {deep}}}'),
        ("POST", "/jobs", '{{"strategy": "trend_follower", "labels": {deep}}}'),
        ("POST", "/strategies", '{{"strategy": {deep}}}'),
        ("POST", "/leases", '{{"worker": "w", "claim_id": "c", "capabilities": {deep}}}'),
        ("PUT", "/workers/w", '{{"state": "alive", "host": "h", "capabilities": {deep}}}'),
        ("POST", "/leases/01234567-89ab-7def-8123-456789abcdef/1/events",
         '{{"first": 0, "events": [{{"type": "StageStarted", "data": {deep}}}]}}'),
    ],
)  # fmt: skip
def test_a_body_that_is_deep_is_not_valid(
    service: RunningService, method: str, path: str, body: str, levels: int
) -> None:
    content = body.format(deep=nested(levels))
    answer = service.http.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text[:300]
    assert answer.json()["errors"]


def test_a_strategy_file_that_is_deep_is_not_valid(service: RunningService) -> None:
    for source in ("[" * 20_000, "a: " + nested(5000), json.dumps({"name": "x", "description": nested(100)})):
        answer = service.http.post("/strategies", json={"strategy": source})
        assert (answer.status_code, answer.json().get("valid", False)) in ((200, False), (422, False))


def test_each_operation_takes_as_much_as_it_needs(service: RunningService) -> None:
    reason = json.dumps({"reason": "x" * 20_000})
    answer = service.http.post("/jobs/01234567-89ab-7def-8123-456789abcdef/cancel", content=reason)
    assert answer.status_code == 413
    assert "16,384" in answer.json()["detail"]


def test_other_origins_are_told_nothing(service: RunningService) -> None:
    for method in ("GET", "OPTIONS"):
        answer = service.http.request(method, "/jobs", headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose operator lets the pages of one other origin use it."""
    service = RunningService(
        tmp_path_factory.mktemp("shared") / "home", KTRDR_CORS_ORIGINS=f"{PAGE} http://localhost:3000"
    )
    try:
        service.start("serve")
        yield service
    finally:
        service.close()


def test_a_named_origin_may_read_and_ask(shared: RunningService) -> None:
    answer = shared.http.get("/jobs", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert {"etag", "x-request-id"} <= {
        one.strip().lower() for one in answer.headers["access-control-expose-headers"].split(",")
    }
    assert "access-control-allow-credentials" not in answer.headers
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, prefer"}
    preflight = shared.http.request("OPTIONS", "/jobs", headers={"Origin": PAGE, **asked})
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert shared.http.post("/jobs", json={}, headers={"Origin": PAGE}).status_code == 422


def test_another_origin_may_not(shared: RunningService) -> None:
    for origin in ("https://evil.example.com", "null", PAGE + ".evil.com"):
        answer = shared.http.get("/jobs", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert shared.http.request("OPTIONS", "/jobs", headers=asked).status_code >= 400


@pytest.mark.parametrize(
    "origins", ["*", "research.example.com", "https://a.example.com/path", "https://*.example.com"]
)
def test_only_whole_origins_can_be_named(origins: str, tmp_path: Path) -> None:
    from ktrdr.settings import read_settings
    from ktrdr.training.faults import InvalidInputError

    with pytest.raises(InvalidInputError, match="KTRDR_CORS_ORIGINS"):
        read_settings({"KTRDR_CORS_ORIGINS": origins, "KTRDR_HOME": str(tmp_path)})


def test_what_is_compressed_can_be_read_by_others(service: RunningService) -> None:
    with service.http.stream("GET", "/strategies/trend_follower", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert gzip.decompress(raw).decode() == service.client.strategy("trend_follower")
