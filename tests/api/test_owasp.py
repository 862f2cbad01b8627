"""The OWASP API Security Top 10 (2023), each risk that applies with what it could mean here.

API6 (unrestricted access to sensitive business flows) does not: there is nothing to buy up or to post.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from jobs.job_builders import COMPLETED
from running_service import wait_until
from strategies import short
from token_service import TokenService

from ktrdr.api.access.gate import MOST_AT_ONCE, PUBLIC, PUBLIC_FOLDERS
from ktrdr.api.app import create_app
from ktrdr.api.routes import OPERATIONS
from ktrdr.audit.signed.asking import ask
from ktrdr.jobs.codec import event_data
from ktrdr.settings import read_settings
from ktrdr.store import open_store

V1 = "/api/v1"
BEATS = {"state": "draining", "host": "h", "pid": 1, "version": "0", "slots": 1, "capabilities": {}}


@pytest.fixture(scope="module")
def desk(token_service: TokenService) -> TokenService:
    """The shared service with prices, and two workers' tokens."""
    token_service.import_samples()
    for name in ("box-a", "box-b"):
        if name not in token_service.tokens:
            token_service.tokens[name] = token_service.make(name, ["work"])
    return token_service


@pytest.fixture
def leased(desk: TokenService) -> Iterator[str]:
    """The address of a lease that box-a has claimed; given back afterwards."""
    body = {"strategy": short(), "symbols": ["GOOG"], "target": "host"}
    job_id = desk.ask("POST", f"{V1}/jobs", "submit", json=body).json()["id"]
    claim = {"worker": "w-a", "claim_id": uuid.uuid4().hex}
    claimed = desk.ask("POST", f"{V1}/leases", "box-a", json=claim)
    assert claimed.json()["job_id"] == job_id
    yield f"{V1}/leases/{job_id}/{claimed.json()['lease_epoch']}"
    desk.ask("POST", f"{V1}/jobs/{job_id}/cancel", "submit")
    desk.ask("POST", f"{V1}/leases/{job_id}/1/stopped", "box-a", json={"outcome": "stopped"})


LEASE_REQUESTS = [
    ("POST", "/renew", None),
    ("POST", "/events", {"first": 0, "events": []}),
    ("GET", "/cancellation", None),
    ("POST", "/regain", {"worker": "w-a"}),
    ("GET", f"/uploads/{'0' * 64}", None),
    ("PATCH", f"/uploads/{'0' * 64}", None),
    ("GET", f"/checkpoints/{'0' * 64}", None),
    ("POST", "/complete", {"data": event_data(COMPLETED), "files": {"a": "0" * 64}}),
    ("POST", "/fail", {"data": {"kind": "k", "message": "m", "where": "", "fix": "", "retryable": False}}),
    ("POST", "/stopped", {"outcome": "stopped"}),
    ("POST", "/release", {}),
]


def test_api1_a_lease_belongs_to_the_token_that_claimed_it(desk: TokenService, leased: str) -> None:
    assert {path.partition("/uploads")[0] for _, path, _ in LEASE_REQUESTS} >= {"/renew", "/events", "/complete"}
    for method, path, body in LEASE_REQUESTS:
        headers = {"Upload-Offset": "0", "Upload-Length": "1"} if method == "PATCH" else {}
        answer = desk.ask(method, leased + path, "box-b", json=body, headers=headers)
        assert answer.status_code == 403, (path, answer.text)
        assert "was not claimed with the token of token:box-b" in answer.json()["detail"]
    assert desk.ask("POST", f"{leased}/renew", "box-a").status_code == 200


def test_api1_a_claim_of_another_token_cannot_be_repeated(desk: TokenService) -> None:
    body = {"strategy": short(), "symbols": ["GOOG"], "target": "host"}
    job_id = desk.ask("POST", f"{V1}/jobs", "submit", json=body).json()["id"]
    claim = {"worker": "w-a", "claim_id": uuid.uuid4().hex}
    first = desk.ask("POST", f"{V1}/leases", "box-a", json=claim)
    assert first.json()["job_id"] == job_id
    assert desk.ask("POST", f"{V1}/leases", "box-b", json=claim).status_code == 403
    assert desk.ask("POST", f"{V1}/leases", "box-a", json=claim).json() == first.json()
    events = desk.ask("GET", f"{V1}/jobs/{job_id}/events", "read").json()["events"]
    assert events[-1]["type"] == "JobClaimed"
    assert (events[-1]["actor"], events[-1]["data"]["worker"]) == ("token:box-a", "w-a")
    desk.ask("POST", f"{V1}/jobs/{job_id}/cancel", "submit")
    desk.ask("POST", f"{V1}/leases/{job_id}/1/stopped", "box-a", json={"outcome": "stopped"})


def test_api1_no_token_speaks_for_a_worker_beside_the_service(desk: TokenService) -> None:
    desk.start("worker")
    try:
        name = wait_until(lambda: desk.ask("GET", f"{V1}/workers", "read").json()["workers"])[0]["name"]
        answer = desk.ask("PUT", f"{V1}/workers/{name}", "work", json=BEATS)
        assert answer.status_code == 403
        assert "beside the service" in answer.json()["detail"]
    finally:
        desk.stop("worker")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "bearer wrong",
        "Basic dG9rZW46",
        "Token {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer a b",
    ],
)
def test_api2_only_a_whole_token_in_the_right_form_is_one(desk: TokenService, authorization: str) -> None:
    headers = {"Authorization": authorization.format(token=desk.tokens["admin"])}
    answer = desk.ask("GET", f"{V1}/jobs", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="ktrdr"')
    assert desk.tokens["admin"] not in answer.text


def test_api3_a_request_sets_nothing_that_it_may_not_and_an_answer_shows_no_secret(desk: TokenService) -> None:
    body = {"strategy": short(), "symbols": ["GOOG"], "status": "completed", "actor": "token:admin"}
    answer = desk.ask("POST", f"{V1}/jobs", "submit", json=body)
    assert answer.status_code == 422
    assert {one["path"] for one in answer.json()["errors"]} >= {"status", "actor"}
    for path in ("/jobs", "/workers", "/settings", "/audit/actions"):
        shown = desk.ask("GET", V1 + path, "admin").text
        assert not any(secret in shown for secret in desk.tokens.values())
        assert '"hash"' not in shown


def test_api4_what_one_request_may_cost_is_bounded(desk: TokenService) -> None:
    huge = desk.ask(
        "POST", f"{V1}/jobs", "submit", content=b" " * 20_000_000, headers={"Content-Type": "application/json"}
    )
    assert huge.status_code == 413
    deep = b'{"strategy":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = desk.ask("POST", f"{V1}/jobs", "submit", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code in (413, 422)
    for path in ("/jobs", "/events", "/audit/actions", "/audit/diff?from=1&"):
        assert desk.ask("GET", f"{V1}{path}{'' if '?' in path else '?'}limit=100000", "read").status_code == 422
    form = {"token": "x" * 20_000_000}
    assert desk.ask("POST", "/sign-in", data=form).status_code == 413


def test_api4_streams_of_one_token_are_bounded_and_others_go_on(desk: TokenService) -> None:
    host = urlsplit(desk.url)
    asked = (
        f"GET {V1}/events HTTP/1.1\r\nHost: {host.netloc}\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {desk.tokens['read']}\r\n\r\n"
    ).encode()
    streams = []
    try:
        for _ in range(MOST_AT_ONCE):
            streams.append(socket.create_connection((str(host.hostname), host.port or 80), timeout=60))
            streams[-1].sendall(asked)
        assert all(b" 200 " in stream.recv(64) for stream in streams)
        refused = desk.ask("GET", f"{V1}/jobs", "read")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert desk.ask("GET", f"{V1}/jobs", "submit").status_code == 200
    finally:
        for stream in streams:
            stream.close()
    wait_until(lambda: desk.ask("GET", f"{V1}/jobs", "read").status_code == 200)


def test_api5_a_path_that_is_written_otherwise_does_not_get_around_a_scope(desk: TokenService) -> None:
    tried = ["/settings/", "//settings", "/./settings", "/%73ettings", "/SETTINGS", "/settings;x", "/jobs/../settings"]
    for path, method in itertools.product(tried, ("PATCH", "POST")):
        answer = desk.ask(method, V1 + path, "submit", json={"fair_by": "desk"})
        assert answer.status_code in (307, 403, 404, 405), (method, path)
    override = {"X-HTTP-Method-Override": "PATCH"}
    assert desk.ask("POST", f"{V1}/settings", "submit", json={"fair_by": "desk"}, headers=override).status_code == 405
    assert desk.ask("GET", f"{V1}/settings", "read").json()["fair_by"]["is_set"] is False


def test_api7_no_request_names_an_address_that_the_service_would_ask(desk: TokenService) -> None:
    """Only settings of the operator's environment do: KTRDR_CHECKPOINT_PUSH and KTRDR_WITNESSES."""
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.setblocking(False)
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/x"
        bodies: list[tuple[str, str, Any]] = [
            ("POST", "/jobs", {"strategy": url}),
            ("POST", "/jobs", {"strategy": short(), "symbols": [url], "labels": {"callback": url}}),
            ("POST", "/strategies", {"strategy": f"name: x\ninclude: {url}\n"}),
            ("PUT", "/strategies/x", {"source": url}),
            ("PATCH", "/settings", {"checkpoint_push": url}),
            ("PATCH", "/settings", {"fair_by": url}),
        ]
        for method, path, body in bodies:
            answer = desk.ask(method, V1 + path, "admin", json=body, headers={"X-Forwarded-Host": url})
            assert answer.status_code in (200, 422), answer.text
        imported = desk.ask("PUT", f"{V1}/datasets?filename={url}", "admin", content=url.encode())
        assert imported.status_code == 422
        with pytest.raises(BlockingIOError):
            bait.accept()


def test_api8_errors_show_no_insides(desk: TokenService) -> None:
    requests = [
        ("GET", "/nothing"), ("POST", "/jobs"), ("GET", "/jobs/x"), ("GET", "/jobs?limit=x"), ("TRACE", "/jobs"),
        ("DELETE", "/jobs"), ("GET", "/prices/x"), ("GET", "/strategies/%2e%2e%2fx"),
    ]  # fmt: skip
    for method, path in requests:
        answer = desk.ask(method, V1 + path, "admin")
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"
        for inside in ("Traceback", "site-packages", "sqlite", str(desk.home), "ktrdr.api"):
            assert inside not in answer.text
    assert (
        "access-control-allow-origin" not in desk.ask("GET", f"{V1}/jobs", "read", headers={"Origin": "null"}).headers
    )


def test_api9_nothing_answers_that_is_not_known_and_nothing_is_open_that_is_not_meant_to_be(tmp_path: Path) -> None:
    settings = read_settings({"KTRDR_HOME": str(tmp_path)})
    routes = {route.path for route in create_app(open_store(tmp_path), settings).routes}  # type: ignore[attr-defined]
    assert {operation.path for operation in OPERATIONS} == {
        path for path in routes if path.startswith("/api/") or path in ("/healthz", "/readyz", "/metrics")
    }
    is_open = {path for path in routes if path in PUBLIC or path.startswith(PUBLIC_FOLDERS)}
    assert is_open == {
        "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{name}", "/problems", "/problems/{name}", "/sign-in",
        "/sign-out", "/static/{version}/{path:path}", "/favicon.ico",
    }  # fmt: skip


def test_api9_every_page_that_is_not_open_wants_a_token(desk: TokenService, tmp_path: Path) -> None:
    settings = read_settings({"KTRDR_HOME": str(tmp_path)})
    for route in create_app(open_store(tmp_path), settings).routes:
        template: str = route.path  # type: ignore[attr-defined]
        if template in PUBLIC or template.startswith(PUBLIC_FOLDERS):
            continue
        path = re.sub(r"{\w+:int}", "1", re.sub(r"{\w+}", str(uuid.uuid4()), template))
        for method in route.methods - {"HEAD", "OPTIONS"}:  # type: ignore[attr-defined]
            assert desk.ask(method, path).status_code == 401, (method, path)
            if not path.startswith("/api/"):
                assert desk.ask(method, path, "work").status_code == 403, (method, path)
                if method == "POST":
                    assert desk.ask(method, path, "read").status_code == 403, (method, path)


class Flooding(BaseHTTPRequestHandler):
    """A witness, or a place for copies, that answers without end."""

    def do_POST(self) -> None:  # as the library calls it
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"x" * 65536)

    do_PUT = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def test_api10_what_a_witness_or_a_place_for_copies_answers_is_bounded() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Flooding) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as http:
                for method in ("POST", "PUT"):
                    with pytest.raises(httpx2.HTTPError, match=r"more than 1,000,000 bytes|not whole after"):
                        ask(http, method, "/x")
        finally:
            server.shutdown()
            thread.join()


def test_no_token_is_kept_or_repeated_anywhere(desk: TokenService) -> None:
    """Neither right nor wrong ones, wherever a client puts them."""
    wrong = "ktrdr_" + "w" * 49
    secrets = [*desk.tokens.values(), wrong]
    answers: list[httpx2.Response] = []
    for secret in secrets:
        answers += [
            desk.ask("GET", f"{V1}/jobs", secret),
            desk.ask("GET", f"{V1}/jobs?token={secret}"),
            desk.ask("GET", f"{V1}/jobs?strategy={secret}", "read"),
            desk.ask("GET", f"{V1}/jobs/{secret}", "read"),
            desk.ask("GET", f"/{secret}", headers={"Accept": "text/html"}),
            desk.ask("GET", f"{V1}/jobs?access_token={secret[6:]}", "read"),
            desk.ask("POST", "/sign-in", data={"token": secret}),
            desk.ask("GET", "/workers", headers={"Cookie": f"ktrdr_session={secret}", "Accept": "text/html"}),
            desk.ask("GET", f"{V1}/jobs", headers={"Authorization": f"Basic {secret}"}),
        ]
    for answer in answers:
        shown = answer.text + json.dumps(dict(answer.headers))
        assert not any(secret in shown or secret[6:] in shown for secret in secrets)
    assert [one.status_code for one in answers[1:6]] == [400] * 5
    files = [file for file in desk.home.parent.rglob("*") if file.is_file()]
    assert any(file.name == "serve.log" and b"/api/v1/jobs" in file.read_bytes() for file in files)
    for file in files:
        content = file.read_bytes()
        for secret in secrets:
            assert secret[6:].encode() not in content, file
