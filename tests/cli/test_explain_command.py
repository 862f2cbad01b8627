"""`ktrdr explain` and the API behind it, against a real service with one completed job."""

from __future__ import annotations

import pytest
from commands import ktrdr
from running_service import RunningService
from strategies import short


@pytest.fixture(scope="module")
def job_id(service: RunningService) -> str:
    found = service.client.submit(short(4), symbols=["IBM", "AAPL"], labels={"from": "test_explain"})["id"]
    service.wait_for(found, "completed")
    return found


def test_a_decision_in_a_table_and_in_rules(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str
) -> None:
    ran = ktrdr(capsys, "explain", job_id, "--last", "30", "--url", service.url)
    assert ran.code == 0
    predicted = service.client.predict(job_id, symbol="IBM")[0]
    assert f"IBM, 2013-03-01: {predicted['decision']}\n" in ran.out
    assert "rsi_14 = " in ran.out
    assert "all contributions sum to " in ran.out
    rules = [line for line in ran.out.splitlines() if line.startswith("IF ")]
    assert all(" is " in rule and " THEN " in rule for rule in rules)
    assert [rule for rule in rules if "fires at" in rule]
    assert ran.err == "  the job has more symbols: --symbol AAPL\n"


def test_the_contributions_as_json(capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str) -> None:
    ran = ktrdr(
        capsys, "explain", job_id, "--symbol", "AAPL", "--at", "2012-11-14T12:00", "--last", "20", "--json",
        "--url", service.url,
    )  # fmt: skip
    explanation = ran.json
    assert (explanation["job_id"], explanation["symbol"]) == (job_id, "AAPL")
    bar = explanation["bar"]
    assert bar["time"] == "2012-11-14T00:00:00+00:00"
    contributions = [feature["contribution"] for one in bar["inputs"] for feature in one["features"]]
    assert sum(contributions) == pytest.approx(bar["value"] - bar["value_at_mean_input"], rel=1e-6)
    assert explanation["model"]["bars"] == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--at", "yesterday"), "'yesterday' is no time"),
        (("--at", "1999-01-01"), "nothing to say of any bar by then"),
        (("--symbol", "NONE"), "there are no 1d prices of 'NONE'"),
        (("--last", "0"), "--last"),
    ],
)
def test_what_cannot_be_explained_is_said(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str, options: tuple[str, ...], said: str
) -> None:
    ran = ktrdr(capsys, "explain", job_id, *options, "--url", service.url)
    assert ran.code == 2
    assert said in ran.err
