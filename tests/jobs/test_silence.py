"""Who counts as dead: whoever did not move for the whole patience of one observer, by that observer's own clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ktrdr.jobs.silence import Silence

#: What an observer sees look by look: the seconds since the look before, and the counters of up to three workers.
looks = st.lists(
    st.tuples(st.floats(0.1, 10.0), st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=3)),
    max_size=12,
)


def test_a_counter_that_moves_lives() -> None:
    silence: Silence[str] = Silence(15.0)
    assert [silence.observe({"a": number}, 14.0 * number) for number in range(10)] == [[]] * 10


def test_a_counter_that_stands_still_is_dead_after_the_patience_and_not_before() -> None:
    silence: Silence[str] = Silence(15.0)
    assert silence.observe({"a": 7}, 100.0) == []
    assert silence.observe({"a": 7}, 114.9) == []
    assert silence.observe({"a": 7}, 115.0) == ["a"]
    assert silence.observe({"a": 7}, 116.0) == ["a"]


def test_a_dead_one_that_moves_again_has_the_full_time_again() -> None:
    silence: Silence[str] = Silence(15.0)
    silence.observe({"a": 7}, 0.0)
    assert silence.observe({"a": 7}, 20.0) == ["a"]
    assert silence.observe({"a": 8}, 21.0) == []
    assert silence.observe({"a": 8}, 35.9) == []


def test_a_new_observer_gives_everyone_the_full_time() -> None:
    Silence[str](15.0).observe({"a": 7}, 0.0)
    assert Silence[str](15.0).observe({"a": 7}, 1_000.0) == []


def test_what_went_away_and_came_back_has_the_full_time_again() -> None:
    silence: Silence[str] = Silence(15.0)
    silence.observe({"a": 7}, 0.0)
    silence.observe({}, 10.0)
    assert silence.observe({"a": 7}, 20.0) == []


def test_a_counter_that_was_set_back_has_moved() -> None:
    silence: Silence[str] = Silence(15.0)
    silence.observe({"a": 7}, 0.0)
    assert silence.observe({"a": 0}, 15.0) == []


@given(looks)
def test_exactly_those_are_dead_that_looked_the_same_for_the_whole_patience(seen: list[tuple[float, dict]]) -> None:  # type: ignore[type-arg]
    silence: Silence[str] = Silence(15.0)
    now, history = 0.0, []
    for pause, counters in seen:
        now += pause
        history.append((now, counters))
        expected = []
        for key, count in counters.items():
            since = now
            for at, earlier in reversed(history):
                if earlier.get(key) != count:
                    break
                since = at
            if now - since >= 15.0:
                expected.append(key)
        assert silence.observe(counters, now) == expected
