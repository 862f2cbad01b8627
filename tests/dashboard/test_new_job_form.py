"""The form of a new job without any script: everything it does by posting and loading again."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from running_service import RunningService

from ktrdr import sample

STRATEGY = sample.strategies()["trend_follower"]


@pytest.fixture
def site(service: RunningService) -> Iterator[httpx2.Client]:
    """The dashboard as a browser without scripts sees it."""
    with httpx2.Client(base_url=service.url, timeout=60.0) as client:
        yield client


def post(site: httpx2.Client, **fields: Any) -> httpx2.Response:
    return site.post("/new", data={"action": "submit", "from": "trend_follower", **fields})


def text_of(page: str) -> str:
    """What a page says, without its elements."""
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", page).split()))


def line_of(words: str, text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if words in line)


def editor_text(page: str) -> str:
    found = re.search(r"<textarea name=\"strategy\"[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def test_a_submission_leads_to_its_job(site: httpx2.Client, service: RunningService) -> None:
    text = STRATEGY.replace("epochs: 40", "epochs: 1")
    sent = {"strategy": text, "symbols": ["AAPL", "IBM"], "seed": "5", "priority": "3", "labels": "desk=rates, who=ann"}
    answer = post(site, **sent, key="only-once", target="local", gpu="prefer", start="2001-01-01", end="2009-12-31")
    assert answer.status_code == 303
    job_id = answer.headers["location"].removeprefix("/jobs/")
    job = service.client.job(job_id)
    assert (job["symbols"], job["seed"], job["priority"]) == (["AAPL", "IBM"], 5, 3)
    assert (job["labels"], job["target"], job["prefer_gpu"]) == ({"desk": "rates", "who": "ann"}, "local", True)
    assert job["submission"]["start"].startswith("2001-01-01")
    again = post(site, **sent, key="only-once", target="local", gpu="prefer", start="2001-01-01", end="2009-12-31")
    assert again.headers["location"] == answer.headers["location"]  # sent twice by a double click
    other = post(site, **sent | {"seed": "6"}, key="only-once", target="local")
    assert other.headers["location"] != answer.headers["location"]  # and with something changed it is another job
    assert service.wait_for(job_id)["status"] == "completed"
    service.wait_for(other.headers["location"].removeprefix("/jobs/"))


def test_faults_are_listed_with_their_lines_and_everything_typed_is_kept(site: httpx2.Client) -> None:
    text = STRATEGY.replace("type: rsi", "type: rsy").replace("epochs: 40", "epochs: 0")
    answer = post(site, strategy=text, seed="seven", labels="desk", start="soon", symbols=["AAPL"])
    assert answer.status_code == 422
    said = text_of(answer.text)
    for words in (
        "5 faults" if "soon" not in said else "faults",
        f"line {line_of('type: rsy', text)} indicators.rsi_14.type 'rsy' is not an indicator",
        f"line {line_of('epochs: 0', text)} training.epochs 0 is out of range",
        "seed 'seven' is not a whole number",
        "labels 'desk' is no label What helps: write desk=rates",
    ):
        assert words in said
    assert editor_text(answer.text) == text
    assert re.search(r'name="symbols" value="AAPL" checked', answer.text)
    for name, value in (("seed", "seven"), ("labels", "desk"), ("start", "soon")):
        assert f'name="{name}" value="{value}"' in answer.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nindicators: [1, 2\n", "line 3"),
        ("", "the file is empty"),
        ("trend_follower", "not a map of keys and values"),
        ("name: x\n\tindicators: {}\n", "a tab is used for indentation"),
    ],
)
def test_a_text_that_is_no_strategy_is_told_so(site: httpx2.Client, text: str, words: str) -> None:
    answer = post(site, strategy=text)
    assert answer.status_code == 422
    assert words in text_of(answer.text)
    assert editor_text(answer.text) == text


def test_checking_says_what_the_strategy_means(site: httpx2.Client) -> None:
    said = text_of(post(site, action="check", strategy=STRATEGY).text)
    assert "Valid" in said
    assert "Features 19" in said
    assert "AAPL, IBM, MSFT (1d)" in said
    assert "1d_momentum_weak" in said


def test_loading_another_strategy_keeps_the_other_fields(site: httpx2.Client) -> None:
    answer = post(site, action="load", strategy="mine", **{"from": "mean_reversion"}, seed="12")
    assert editor_text(answer.text) == sample.strategies()["mean_reversion"]
    assert 'name="seed" value="12"' in answer.text
    written = post(site, action="load", strategy="mine", **{"from": "starter:gru"})
    assert "type: gru" in editor_text(written.text)
    unknown = post(site, action="load", strategy="mine\n", **{"from": "nobody"})
    assert "There is no strategy 'nobody'" in text_of(unknown.text)
    assert editor_text(unknown.text).startswith("mine")


def test_a_strategy_can_be_kept_under_its_name(site: httpx2.Client, service: RunningService) -> None:
    text = STRATEGY.replace("name: trend_follower", "name: kept_by_the_form").replace("epochs: 40", "epochs: 1")
    answer = post(site, strategy=text.replace("\n", "\r\n"), keep="on")  # as browsers send it
    assert answer.status_code == 303
    service.wait_for(answer.headers["location"].removeprefix("/jobs/"))
    assert service.client.strategy("kept_by_the_form") == text
    assert '<option value="kept_by_the_form"' in site.get("/new").text
    assert editor_text(site.get("/new?strategy=kept_by_the_form").text) == text


def test_missing_prices_are_told_beside_the_symbols(site: httpx2.Client) -> None:
    answer = post(site, strategy=STRATEGY, symbols=["NONE_SUCH"])
    assert answer.status_code == 422
    assert "there are no 1d prices of 'NONE_SUCH'" in text_of(answer.text)
    assert 'name="symbols" value="NONE_SUCH"' in answer.text


def test_the_sample_prices_are_a_button_away(own_service: RunningService) -> None:
    own_service.start("serve")
    with httpx2.Client(base_url=own_service.url, timeout=60.0) as site:
        assert "There are no prices yet" in text_of(site.get("/new").text)
        answer = post(site, action="sample", strategy="my own text\n", seed="4")
        assert answer.status_code == 200
        assert "The sample prices were imported: AAPL 1d" in text_of(answer.text)
        assert editor_text(answer.text).startswith("my own text")
        assert 'name="seed" value="4"' in answer.text
        upload(site, own_service)


def upload(site: httpx2.Client, service: RunningService) -> None:
    """A price file goes in by a form, or every fault of it is told."""
    rows = "\n".join(f"2020-01-{day:02d},1,2,0.5,1.5,100" for day in range(1, 29))
    content = f"date,open,high,low,close,volume\n{rows}\n".encode()
    answer = site.post("/new/prices", files={"file": ("XYZ.csv", content, "text/csv")}, data={"symbol": "XYZ"})
    assert answer.status_code == 303
    assert "Imported: XYZ 1d" in text_of(site.get(answer.headers["location"]).text)
    assert "XYZ" in {one["symbol"] for one in service.client.datasets()}
    broken: Mapping[str, Any] = {"file": ("XYZ.csv", content.replace(b"1,2,0.5,1.5", b"9,2,0.5,1.5"), "text/csv")}
    refused = site.post("/new/prices", files=broken, data={"symbol": "XYZ"})
    assert refused.status_code == 422
    assert "The file was not imported" in text_of(refused.text)
    nothing = site.post("/new/prices", files={"file": ("", b"", "application/octet-stream")})
    assert nothing.status_code == 422
    assert "no file was chosen" in text_of(nothing.text)
    assert site.post("/new/prices", data={"symbol": "XYZ"}).status_code == 415
