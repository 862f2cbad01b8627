"""Bad input: each kind gets a clear 4xx that names every fault and its place, and nothing is written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from running_service import RunningService

from ktrdr import sample

TREND = sample.strategies()["trend_follower"]


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """The sample strategy with one value replaced."""
    strategy: dict[str, Any] = yaml.safe_load(TREND)
    inside: Any = strategy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = to
    return {"strategy": strategy}


@pytest.fixture
def untouched(service: RunningService) -> Iterator[RunningService]:
    """The service, of which the test must change nothing at all."""

    def everything() -> tuple[Any, ...]:
        names = ("/datasets", "/strategies")
        last = service.http.get("/events", params={"after": 0, "limit": 1000}).json()["last_position"]
        return (last, *(service.http.get(name).json() for name in names))

    before = everything()
    yield service
    assert everything() == before


def faults(answer: Any) -> dict[str, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"].startswith("/problems/")
    assert problem["title"]
    return {error["path"]: error["detail"] for error in problem.get("errors", [])}


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        pytest.param({"strategy": "a: [1, 2\nb: 3"}, "strategy", "line 2", id="broken YAML"),
        pytest.param({"strategy": '{"name": "x",'}, "strategy", "line 2", id="broken JSON inside"),
        pytest.param({"strategy": "!!python/object:os.system {}\n"}, "strategy", "tag", id="a tag that runs code"),
        pytest.param({"strategy": "name: x\nindicators: []\n"}, "strategy.indicators", "version 3", id="not version 3"),
        pytest.param({"strategy": "../../etc/passwd"}, "strategy", "no strategy", id="a path as a name"),
        pytest.param({"strategy": "no_such_one"}, "strategy", "no strategy", id="an unknown name"),
        pytest.param({}, "strategy", "missing", id="no strategy"),
        pytest.param({"strategy": 7}, "strategy", "text or an object", id="a number for a strategy"),
        pytest.param(changed("indicators", "rsi_14", to={"type": "rsx"}), "strategy.indicators.rsi_14.type", "rsx",
                     id="an unknown indicator"),
        pytest.param(changed("training", "epochs", to=-3), "strategy.training.epochs", "-3", id="a negative number"),
        pytest.param(changed("training", "epochs", to="many"), "strategy.training.epochs", "many", id="a wrong type"),
        pytest.param(changed("name", to="../evil"), "strategy.name", "../evil", id="a path as the file's name"),
        pytest.param({"strategy": "trend_follower", "start": "2010-01-01", "end": "2005-01-01"}, "end",
                     "2005-01-01", id="inverted dates"),
        pytest.param({"strategy": "trend_follower", "start": "soon"}, "start", "soon", id="no date"),
        pytest.param({"strategy": "trend_follower", "symbols": ["NOPE"]}, "symbols[0]", "NOPE", id="unknown symbol"),
        pytest.param({"strategy": "trend_follower", "symbols": ["../x"]}, "symbols[0]", "../x",
                     id="a path as a symbol"),
        pytest.param({"strategy": "trend_follower", "symbols": []}, "symbols", "", id="no symbols"),
        pytest.param({"strategy": "trend_follower", "timeframes": ["3h"]}, "timeframes[0]", "3h",
                     id="an unknown timeframe"),
        pytest.param({"strategy": "trend_follower", "seed": "x"}, "seed", "'x'", id="a word for a seed"),
        pytest.param({"strategy": "trend_follower", "seed": 2**60}, "seed", "", id="a seed that JSON cannot hold"),
        pytest.param({"strategy": "trend_follower", "target": "moon"}, "target", "moon", id="an unknown target"),
        pytest.param({"strategy": "trend_follower", "priority": 10**9}, "priority", "", id="a huge priority"),
        pytest.param({"strategy": "trend_follower", "labels": {"a b": "c"}}, "labels.a b", "a b",
                     id="a label with a space"),
        pytest.param({"strategy": "trend_follower", "colour": 1}, "colour", "not known", id="an unknown key"),
    ],
)  # fmt: skip
def test_a_submission_that_is_wrong_is_told_where(
    untouched: RunningService, body: dict[str, Any], path: str, words: str
) -> None:
    answer = untouched.http.post("/jobs", json=body)
    assert answer.status_code == 422, answer.text
    found = faults(answer)
    assert path in found, found
    assert words in found[path]


def test_all_faults_of_a_submission_are_listed_at_once(untouched: RunningService) -> None:
    strategy = yaml.safe_load(TREND)
    strategy["training"] |= {"epochs": 0, "batch_size": "x", "optimizer": "adom"}
    strategy["fuzzy_sets"][next(iter(strategy["fuzzy_sets"]))]["indicator"] = "nothing"
    found = faults(untouched.http.post("/jobs", json={"strategy": strategy}))
    assert {"strategy.training.epochs", "strategy.training.batch_size", "strategy.training.optimizer.type"} <= set(
        found
    )
    assert len(found) >= 4


def test_wrong_fields_hide_no_fault_of_the_others(untouched: RunningService) -> None:
    body = {"strategy": "trend_folower", "symbols": ["AAPL", "NOPE"], "priority": "x", "seed": -1, "colour": 1}
    found = faults(untouched.http.post("/jobs", json=body))
    assert set(found) == {"strategy", "priority", "seed", "colour"}  # without a strategy no symbol can be judged
    found = faults(untouched.http.post("/jobs", json=body | {"strategy": "trend_follower"}))
    assert set(found) == {"symbols[1]", "priority", "seed", "colour"}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        pytest.param(b"{", {}, 422, id="broken JSON"),
        pytest.param(b"", {}, 422, id="nothing"),
        pytest.param(b"[]", {}, 422, id="a list"),
        pytest.param(b'{"strategy": NaN}', {}, 422, id="not a number"),
        pytest.param(b"\xff\xfe", {}, 422, id="no text"),
        pytest.param(b"[" * 100_000, {}, 422, id="100,000 levels deep"),
        pytest.param(b'{"strategy": "' + b"x" * 50_000_000 + b'"}', {}, 413, id="50 MB"),
        pytest.param(b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, id="a form"),
        pytest.param(b'{"strategy": "trend_follower"}', {"Idempotency-Key": "k" * 300}, 422, id="a long key"),
    ],
)
def test_a_body_that_is_no_request_is_refused(
    untouched: RunningService, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = untouched.http.post("/jobs", content=content, headers={"Content-Type": "application/json"} | headers)
    assert answer.status_code == status, answer.text[:500]
    faults(answer)


CSV = (
    "Date,Open,High,Low,Close,Volume\n2024-01-02,10,11,9,10,100\n2024-01-03,10,11,9,10,100\n2024-01-04,10,11,9,10,100\n"
)


@pytest.mark.parametrize(
    ("content", "filename", "words"),
    [
        pytest.param(CSV.replace("-03,10,", "-03,NaN,").encode(), "X.csv", "3", id="a price that is NaN"),
        pytest.param(CSV.replace("-03", "-02").encode(), "X.csv", "2024-01-02", id="a bar twice"),
        pytest.param(CSV.replace("-03,10,11,9", "-03,10,11,12").encode(), "X.csv", "3", id="low > high"),
        pytest.param(CSV.replace("-03", "-33").encode(), "X.csv", "33", id="an impossible date"),
        pytest.param(CSV.replace("Close", "Clothes").encode(), "X.csv", "close", id="no close"),
        pytest.param(CSV.replace(",100\n", ",-1\n").encode(), "X.csv", "volume", id="negative volume"),
        pytest.param(CSV.encode(), "..%2F..%2Fx.csv", "symbol", id="a path as the file's name"),
        pytest.param(b"PAR1 but not really", "X.parquet", "Parquet", id="no Parquet"),
        pytest.param(gzip.compress(b"nonsense"), "X.csv.gz", "", id="no table"),
        pytest.param(b"", "X.csv", "", id="an empty file"),
    ],
)
def test_a_price_file_that_is_wrong_is_refused_with_its_rows(
    untouched: RunningService, content: bytes, filename: str, words: str
) -> None:
    answer = untouched.http.put("/datasets", content=content, params={"filename": filename})
    assert answer.status_code == 422, answer.text
    assert words in json.dumps([*faults(answer).values(), answer.text])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/jobs/not-a-job", 404),
        ("GET", "/jobs/01234567-89ab-7def-8123-456789abcdef", 404),
        ("GET", "/jobs/01234567-89ab-7def-8123-456789abcdef/events", 404),
        ("POST", "/jobs/01234567-89ab-7def-8123-456789abcdef/cancel", 404),
        ("GET", "/jobs/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/jobs?limit=0", 422),
        ("GET", "/jobs?limit=x", 422),
        ("GET", "/jobs?status=happy", 422),
        ("GET", "/jobs?cursor=abc", 422),
        ("GET", "/jobs?label=nothing", 422),
        ("GET", "/jobs?submitted_from=then", 422),
        ("GET", "/jobs?order=name", 422),
        ("GET", "/events?after=-1", 422),
        ("GET", "/prices/..%2f..%2fktrdr.db", 404),
        ("GET", "/prices/abc", 422),
        ("GET", "/nothing", 404),
        ("DELETE", "/jobs", 405),
    ],
)
def test_an_address_that_is_wrong_is_refused(untouched: RunningService, method: str, path: str, status: int) -> None:
    answer = untouched.http.request(method, path)
    assert answer.status_code == status, answer.text
    faults(answer)


def test_a_stream_cannot_begin_after_nonsense(untouched: RunningService) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "²"}
    answer = untouched.http.get("/events", headers={k: v.encode() for k, v in headers.items()})
    assert answer.status_code == 422
    faults(answer)
