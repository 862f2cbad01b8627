"""How often a token may ask."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_service import TokenService

from ktrdr.api.access.rates import MOST_REMEMBERED, Rate, RateLimit, address_key, read_rate

JOBS = "/api/v1/jobs"


def test_as_many_as_the_rate_at_once_and_then_one_as_each_is_earned_again() -> None:
    limit = RateLimit(Rate(60, 60.0))
    taken = [limit.take("a", now=0.0) for _ in range(60)]
    assert [one.wait for one in taken] == [0.0] * 60
    assert [one.left for one in taken] == list(range(59, -1, -1))
    assert limit.take("a", now=0.0).wait == pytest.approx(1.0)
    assert limit.take("a", now=0.5).wait == pytest.approx(0.5)
    assert limit.take("a", now=1.0).wait == 0.0
    assert limit.take("a", now=1.0).wait == pytest.approx(1.0)
    assert limit.take("b", now=1.0).left == 59
    assert limit.take("a", now=100.0).left == 59


@given(st.integers(1, 50), st.floats(0.1, 100), st.lists(st.floats(0, 20), max_size=200))
def test_in_no_time_come_more_than_the_burst_and_what_was_earned(
    amount: int, seconds: float, pauses: list[float]
) -> None:
    limit, now, passed = RateLimit(Rate(amount, seconds)), 0.0, 0
    for pause in pauses:
        now += pause
        taken = limit.take("a", now)
        passed += not taken.wait
        assert 0 <= taken.left < amount
        if taken.wait:
            assert not limit.take("a", now + taken.wait * 1.001).wait
            passed += 1
            now += taken.wait * 1.001
        assert passed <= amount + now * amount / seconds + 1


def test_what_is_remembered_is_bounded() -> None:
    limit = RateLimit(Rate(1, 1.0))
    for number in range(MOST_REMEMBERED * 2):
        assert not limit.take(f"{number}", now=0.0).wait
    assert len(limit._full_at) <= MOST_REMEMBERED


def test_an_ipv6_address_counts_as_its_network() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("192.0.2.1") != address_key("192.0.2.2")
    assert address_key("unknown") == "unknown"


@pytest.mark.parametrize(
    ("text", "rate"), [("600/minute", Rate(600, 60.0)), ("1/hour", Rate(1, 3600.0)), ("off", None)]
)
def test_how_a_rate_is_written(text: str, rate: Rate | None) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["on", "0/minute", "-1/minute", "5/day", "5 per minute", "1e9/second"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        read_rate(text)


def test_a_token_that_asks_too_often_is_told_when_it_may_again_and_workers_are_not_held_up(tmp_path: Path) -> None:
    limited = TokenService(tmp_path / "home", KTRDR_RATE_LIMIT="5/hour")
    try:
        limited.start("serve")
        answers = [limited.ask("GET", JOBS, "read") for _ in range(6)]
        assert [one.status_code for one in answers] == [200] * 5 + [429]
        assert [one.headers["ratelimit"].split(";")[1] for one in answers] == ["r=4", "r=3", "r=2", "r=1", "r=0", "r=0"]
        assert answers[0].headers["ratelimit-policy"] == '"caller";q=5;w=3600'
        refused = answers[-1]
        assert refused.json()["type"] == "/problems/rate-limited"
        assert 0 < int(refused.headers["retry-after"]) <= 720
        assert limited.ask("GET", JOBS, "submit").status_code == 200
        assert [limited.ask("POST", "/api/v1/leases", "work").status_code for _ in range(12)] == [422] * 12
        # Whoever shows nothing is counted by address; what says whether the service lives, too.
        assert [limited.ask("GET", "/healthz").status_code for _ in range(6)].count(429) >= 1
    finally:
        limited.close()


def test_wrong_tokens_are_counted_by_address_and_right_ones_let_in_all_the_same(tmp_path: Path) -> None:
    guessed = TokenService(tmp_path / "home", KTRDR_RATE_LIMIT="off")
    try:
        guessed.start("serve")
        statuses = [guessed.ask("GET", JOBS, "guess").status_code for _ in range(70)]
        assert statuses[:60] == [401] * 60
        assert 429 in statuses[60:]
        assert guessed.ask("GET", JOBS, "read").status_code == 200
        form = guessed.ask("POST", "/sign-in", data={"token": "guess"})
        assert form.status_code in (401, 429)
        assert "ratelimit" not in guessed.ask("GET", JOBS, "read").headers
    finally:
        guessed.close()
