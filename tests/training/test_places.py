"""At which line and column each fault of a strategy file stands."""

from __future__ import annotations

import pytest

from ktrdr import sample
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.parse import parse
from ktrdr.training.strategy.places import Place, place_of, placed, places_of

SOURCE = sample.strategies()["trend_follower"]


def faults(text: str) -> list[Fault]:
    with pytest.raises(InvalidInputError) as raised:
        parse(text)
    return list(raised.value.faults)


def place(words: str, text: str) -> Place:
    """Where some words begin."""
    return place_at(text.index(words), text)


def place_at(index: int, text: str) -> Place:
    before = text[:index]
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("type: rsi", "type: rsy", "type: rsy"),
        ("  epochs: 40", "  epochs: 0", "epochs: 0"),
        ("weak: [0, 0, 35, 48]", "weak: [0, 0, 35, x]", "x]"),
        ("hidden_layers: [32, 16]", "hidden_layers: [32, 0]", "0]"),
        ("  epochs: 40", "  epochs: 40\n  epochs: 41", "epochs: 41"),
        ("name: trend_follower", "\tname: trend_follower", "\tname"),
        ("version: ", "version: !!str ", "!!str"),
    ],
)
def test_a_fault_has_the_place_of_its_value_or_of_where_reading_ended(right: str, wrong: str, words: str) -> None:
    text = SOURCE.replace(right, wrong, 1)
    found = faults(text)
    assert len(found) == 1
    assert place_of(found[0], places_of(text)) == place_at(text.index(wrong) + wrong.index(words), text)


def test_a_text_that_breaks_off_has_the_place_where_that_was_noticed() -> None:
    text = SOURCE.replace("list: [AAPL, IBM, MSFT]", "list: [AAPL, IBM, MSFT")
    told = place_of(faults(text)[0], places_of(text))
    assert told is not None
    assert told.line == place("timeframes:\n", text).line


def test_what_is_missing_has_the_place_of_what_it_is_missing_from() -> None:
    text = SOURCE.replace("hidden_layers:", "hiden_layers:")
    (found,) = faults(text)
    assert place_of(found, places_of(text)) == place("architecture:", text)


def test_a_fault_of_the_whole_file_has_no_place() -> None:
    (found,) = faults("")
    assert placed(found, places_of("")) | {"detail": ""} == {
        "path": "", "line": None, "column": None, "detail": "", "fix": found.fix,
    }  # fmt: skip


def test_a_text_that_is_larger_than_any_strategy_is_not_looked_at() -> None:
    assert places_of("a: 1\n" * 100_000) == {}
