"""Request ids, and the W3C trace of a request through submission, job and worker."""

from __future__ import annotations

import re
import string

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_proxy import RecordingProxy
from running_service import RunningService, wait_until
from strategies import short

from ktrdr.tracing import Trace, continue_trace, make_trace, parse_traceparent

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
HEX = string.digits + "abcdef"


def test_a_traceparent_names_a_span() -> None:
    assert parse_traceparent(TRACEPARENT) == Trace(TRACE_ID, SPAN_ID, is_sampled=True)
    assert parse_traceparent(TRACEPARENT[:-1] + "0") == Trace(TRACE_ID, SPAN_ID, is_sampled=False)
    assert parse_traceparent(TRACEPARENT[:-2] + "ff") == Trace(TRACE_ID, SPAN_ID, is_sampled=True)


def test_what_a_later_version_adds_is_left_out() -> None:
    assert parse_traceparent(f"cc-{TRACE_ID}-{SPAN_ID}-01-what-the-future-will-be-like") == Trace(TRACE_ID, SPAN_ID)
    assert parse_traceparent(f"cc-{TRACE_ID}-{SPAN_ID}-01.what-the-future-will-be-like") is None


@pytest.mark.parametrize(
    "text",
    [
        None, "", "00", TRACEPARENT.upper(), f"{TRACEPARENT}-", f"{TRACEPARENT}-more", f" {TRACEPARENT}",
        f"ff-{TRACE_ID}-{SPAN_ID}-01", f"00-{'0' * 32}-{SPAN_ID}-01", f"00-{TRACE_ID}-{'0' * 16}-01",
        TRACEPARENT.replace("-", "_"), TRACEPARENT[1:], f"0²{TRACEPARENT[2:]}", f"{TRACEPARENT}\n",
    ],
)  # fmt: skip
def test_what_names_no_span_begins_a_new_trace(text: str | None) -> None:
    assert parse_traceparent(text) is None
    new = continue_trace(text)
    assert new.trace_id != TRACE_ID
    assert parse_traceparent(new.traceparent) == new


@given(st.text(HEX, min_size=32, max_size=32), st.text(HEX, min_size=16, max_size=16), st.booleans())
def test_a_span_is_continued_under_a_name_of_its_own(trace_id: str, span_id: str, is_sampled: bool) -> None:
    caller = Trace(trace_id, span_id, is_sampled)
    if parse_traceparent(caller.traceparent) is None:
        assert set(trace_id) == {"0"} or set(span_id) == {"0"}
        return
    ours = continue_trace(caller.traceparent)
    assert (ours.trace_id, ours.is_sampled) == (trace_id, is_sampled)
    assert ours.span_id != span_id
    assert make_trace().trace_id != trace_id


@pytest.mark.parametrize("given_id", ["a", "abc-123_X.~:/+=@", "x" * 128])
def test_a_request_keeps_the_id_that_its_client_gave_it(service: RunningService, given_id: str) -> None:
    answer = service.http.get("/jobs", headers={"X-Request-Id": given_id})
    assert answer.headers["x-request-id"] == given_id


@pytest.mark.parametrize("given_id", ["", "a b", "x" * 129, 'a"b', "a<b>", "é", "a,b;c"])
def test_an_id_that_a_log_could_stumble_over_is_replaced(service: RunningService, given_id: str) -> None:
    answer = service.http.get("/jobs", headers={b"X-Request-Id": given_id.encode()})
    assert answer.status_code == 200
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_two_ids_are_none(service: RunningService) -> None:
    answer = service.http.get("/jobs", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/jobs/nothing", b"", 404),
        ("GET", "/nowhere", b"", 404),
        ("DELETE", "/jobs", b"", 405),
        ("POST", "/jobs", b"[", 422),
        ("POST", "/jobs", b" " * 1_000_001, 413),
    ],
)
def test_a_problem_names_the_request_that_it_answers(
    service: RunningService, method: str, path: str, content: bytes, status: int
) -> None:
    answer = service.http.request(method, path, content=content, headers={"X-Request-Id": f"mine-{status}"})
    assert answer.status_code == status
    assert answer.headers.get_list("x-request-id") == [answer.json()["request_id"]] == [f"mine-{status}"]


def test_a_job_belongs_to_the_trace_of_its_submission(service: RunningService) -> None:
    body = {"strategy": "trend_follower", "target": "host"}  # nobody runs it here
    job = service.http.post("/jobs", json=body, headers={"traceparent": TRACEPARENT}).json()
    assert job["trace_id"] == TRACE_ID
    assert service.client.job(job["id"])["trace_id"] == TRACE_ID
    recorded = next(iter(service.client.events(job["id"])))["data"]["traceparent"]
    assert recorded.startswith(f"00-{TRACE_ID}-")
    assert SPAN_ID not in recorded  # it names the span of the service
    service.client.cancel(job["id"])
    again = service.http.post(f"/jobs/{job['id']}/retry").json()
    assert re.fullmatch("[0-9a-f]{32}", again["trace_id"])
    assert again["trace_id"] != TRACE_ID
    service.client.cancel(again["id"])


def test_a_host_worker_goes_on_with_the_trace_of_its_job(own_service: RunningService) -> None:
    own_service.start("serve")
    own_service.import_samples()
    with RecordingProxy(own_service.port) as proxy:
        own_service.start("host-worker", KTRDR_URL=proxy.url)
        body = {"strategy": short(), "symbols": ["GOOG"], "target": "host"}
        answer = own_service.http.post("/jobs", json=body, headers={"traceparent": TRACEPARENT})
        job = own_service.wait_for(answer.json()["id"])
        assert job["status"] == "completed"
        lease = f"/api/v1/leases/{job['id']}/"
        of_job = [one for one in proxy.requests() if one.path.startswith(lease)]
        of_prices = [one for one in proxy.requests() if one.path.startswith("/api/v1/prices/")]
        others = [one for one in proxy.requests() if one.path.split("/")[3] in ("workers", "leases")]
        assert of_prices
        assert {one.path.removeprefix(f"{lease}1/").partition("/")[0] for one in of_job} >= {"events", "uploads"}
        traces = {parse_traceparent(one.headers["traceparent"]) for one in (*of_job, *of_prices)}
        assert {trace and trace.trace_id for trace in traces} == {TRACE_ID}
        assert SPAN_ID not in {trace and trace.span_id for trace in traces}
        assert all("traceparent" not in one.headers for one in others if one not in of_job)
    log = own_service.home.parent / "host-worker.log"
    wait_until(lambda: f"job {job['id']} is taken up, in trace {TRACE_ID}" in log.read_text())


def test_a_local_worker_names_the_trace_of_its_job(service: RunningService) -> None:
    body = {"strategy": short(), "symbols": ["GOOG"], "target": "local"}
    job_id = service.http.post("/jobs", json=body, headers={"traceparent": TRACEPARENT}).json()["id"]
    service.wait_for(job_id)
    log = service.home.parent / "worker.log"
    wait_until(lambda: f"job {job_id} is taken up, in trace {TRACE_ID}" in log.read_text())


def test_an_answer_of_the_health_check_has_an_id_too(service: RunningService) -> None:
    assert httpx2.get(f"{service.url}/healthz").headers["x-request-id"]
