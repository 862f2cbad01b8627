"""The JSON Schema and the validator agree on every value that a schema can judge."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from strategy_examples import REGRESSION, changed

from ktrdr import sample
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.indicators.registry import REGISTRY
from ktrdr.training.strategy.descriptions import DESCRIPTIONS
from ktrdr.training.strategy.keys import REQUIRED, Key, described
from ktrdr.training.strategy.language import file_schema
from ktrdr.training.strategy.parse import from_mapping, to_mapping
from ktrdr.training.strategy.reader import read_text
from ktrdr.training.strategy.reference import reference
from ktrdr.training.strategy.schema import of_map, of_variants
from ktrdr.training.strategy.values import choice, flag, listing, number, text, whole

SCHEMA = file_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

FILES = [file.read_text("utf-8") for file in sorted((Path(__file__).parents[2] / "strategy_files").iterdir())]
DOCUMENTS: list[Any] = [read_text(text) for text in (*FILES, *sample.strategies().values())]
DOCUMENTS = [document for document in DOCUMENTS if VALIDATOR.is_valid(document)]
DOCUMENTS += [to_mapping(from_mapping(document).strategy) for document in DOCUMENTS]

VALUES = [
    None, True, False, 0, 1, -1, 2, 5, 0.5, 5.5, -0.5, 1e9, 10**12, "", "x", "all", "no", "Adam", "1d", "2004-01-01",
    "no such thing", [], [1], [1, 2, 3], [3, 2, 1, 0], ["1d"], {}, {"type": "sgd"}, {"a": 1}, {"source": "regime"},
]  # fmt: skip

#: How the validator tells what a schema can tell as well.
JUDGED = ("is not a ", "is not text", "is out of range", "is not known here", "is not allowed", "is missing")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, child in children for deeper in _paths(child, (*path, key)))]


PLACES = [(number, path) for number, document in enumerate(DOCUMENTS) for path in _paths(document) if path]


def _replaced(number: int, path: tuple[Any, ...], value: Any) -> Any:
    document = copy.deepcopy(DOCUMENTS[number])
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return document


def _faults(document: Any, *, strict: bool = False) -> tuple[Fault, ...]:
    try:
        from_mapping(document, strict=strict)
    except InvalidInputError as error:
        return error.faults
    return ()


def _accepts(document: Any) -> bool:
    return bool(VALIDATOR.is_valid(document))


def test_the_page_of_the_language_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "strategy-language.md"
    hint = "run: python -m ktrdr.training.strategy.reference > docs/strategy-language.md"
    assert page.read_text("utf-8") == reference(), hint


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(VALUES))
def test_what_the_schema_rejects_the_validator_rejects_in_strict_mode(place: tuple[Any, Any], value: Any) -> None:
    document = _replaced(*place, value)
    assert _accepts(document) or _faults(document, strict=True)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(VALUES))
def test_a_wrong_type_range_or_word_is_rejected_by_both(place: tuple[Any, Any], value: Any) -> None:
    document = _replaced(*place, value)
    judged = [fault for fault in _faults(document) if any(words in fault.problem for words in JUDGED)]
    is_whole = isinstance(value, float) and value.is_integer()  # to JSON Schema, 1e9 is an integer
    if any(fault.path[: len(place[1])] == place[1] for fault in judged) and not is_whole:
        assert not _accepts(document), [str(fault) for fault in judged]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(["zz", "epoch", "typ", "name_"]))
def test_an_unknown_key_is_an_error_to_an_editor(place: tuple[Any, Any], name: str) -> None:
    number, path = place
    document = copy.deepcopy(DOCUMENTS[number])
    target: Any = document
    for part in path:
        target = target[part]
    if not isinstance(target, dict) or path[0] in ("fuzzy_sets", "indicators", "deployment"):
        return
    target[name] = 1
    assert not _accepts(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"training.epochs": 0},
        {"training.epochs": "5"},
        {"training.loss": "hinge"},
        {"training.optimizer": {"type": "adam", "momentum": 0.9}},
        {"training.optimizer": {"lr": 0.1, "learning_rate": 0.1, "type": "adam"}},
        {"training.lr_scheduler": "cyclic"},
        {"training.early_stopping": {"patience": 0}},
        {"training.data_split": {"train": 0.5, "test": 0.5}},
        {"training.labels": {"horizon": 3}},
        {"training.labels": {"source": "triple_barrier", "zigzag_threshold": 0.1}},
        {"training_data.symbols": {"symbol": "A", "list": ["A"]}},
        {"training_data.timeframes.timeframe": "3h"},
        {"training_data.date_range": {"start": "soon"}},
        {"indicators.rsi_14.type": "rsj"},
        {"indicators.rsi_14.period": 1},
        {"indicators.rsi_14.perod": 14},
        {"indicators.macd_12.fast": 5},
        {"fuzzy_sets": {}},
        {"fuzzy_sets.momentum": {"indicator": "rsi_14"}},
        {"fuzzy_sets.momentum.low": [1, 2]},
        {"fuzzy_sets.momentum.low": {"type": "gaussian", "parameters": [50, 0]}},
        {"fuzzy_sets.momentum.low": {"type": "gauss", "parameters": [50, 1, 2]}},
        {"fuzzy_sets.momentum.low": {"type": "gauss", "parameters": None}},
        {"nn_inputs.0": {"timeframes": "all"}},
        {"nn_inputs.0.raw_indicator": "rsi_14"},
        {"nn_inputs.0.timeframes": "3h"},
        {"model.architecture": {}},
        {"model.architecture.hidden_size": 3},
        {"model.type": "lstm"},
        {"decisions.cost_model": {"round_trip_cost": 0.1, "min_edge_multiplier": 1}},
        {**REGRESSION, "decisions.cost_model": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_schema_rejects(changes: dict[str, Any]) -> None:
    document = changed(changes)
    assert not _accepts(document)
    assert _faults(document, strict=True)


def test_an_editor_is_offered_the_words_and_told_the_defaults() -> None:
    training = SCHEMA["$defs"]["training"]["properties"]
    assert training["epochs"] | {"description": ""} == {
        "type": "integer", "minimum": 1, "maximum": 100_000, "default": 100, "description": "",
    }  # fmt: skip
    assert SCHEMA["$defs"]["indicator_rsi"]["properties"]["period"]["default"] == 14
    types = SCHEMA["$defs"]["indicator"]["properties"]["type"]["anyOf"][0]["enum"]
    assert set(types) == {name for kind in REGISTRY.values() for name in (kind.name, *kind.aliases)}


def test_letters_of_any_case_are_accepted() -> None:
    assert _accepts(changed({"indicators.rsi_14.type": "RSI", "training.optimizer": "AdamW", "model.type": "MLP"}))


def test_every_key_says_what_it_is_for() -> None:
    described_keys, silent = 0, []
    sections = {"": SCHEMA, **SCHEMA["$defs"]}
    for name, section in sections.items():
        if name.startswith("indicator_"):
            continue  # the parameters of indicators are those of their definitions
        for key, schema in section.get("properties", {}).items():
            described_keys += 1
            if not schema.get("description"):
                silent.append(f"{name}/{key}")
    assert described_keys > 30
    assert silent == []


def test_no_description_is_of_a_key_that_there_is_not() -> None:
    told = _descriptions(SCHEMA)
    assert sorted(set(DESCRIPTIONS.values()) - told) == []


def _descriptions(schema: Any) -> set[str]:
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    own = {schema["description"]} if isinstance(schema, dict) and isinstance(schema.get("description"), str) else set()
    return own.union(*(_descriptions(child) for child in children))


KEYS = (
    Key("count", whole(1, 9), 3),
    Key("share", number(0, 1, above_low=True, below_high=True), REQUIRED, ("part",)),
    Key("name", text(5), None),
    Key("on", flag, False),
    Key("items", listing(whole(0, 1), 1, 2, distinct=True), REQUIRED),
)


def test_the_schema_of_a_table() -> None:
    validator = Draft202012Validator(of_map(KEYS))
    right = {"share": 0.5, "items": [0, 1]}
    assert validator.is_valid(right)
    for more in ({"count": 9}, {"name": None}, {"name": "abcde"}, {"on": "Yes"}, {"on": True}):
        assert validator.is_valid(right | more), more
    for wrong in ({"count": 10}, {"count": None}, {"share": 1}, {"share": 0}, {"name": "abcdef"}, {"on": 1},
                  {"items": [0, 0]}, {"items": []}, {"part": 0.5}, {"other": 1}):  # fmt: skip
        assert not validator.is_valid(right | wrong), wrong
    assert not validator.is_valid({"items": [0]})
    assert validator.is_valid({"items": [0], "part": 0.5})


def test_the_schema_of_a_map_whose_keys_depend_on_one_of_them() -> None:
    variants = {"circle": (Key("radius", number(0), REQUIRED),), "square": (Key("side", number(0), 1.0),)}
    needed = Draft202012Validator(of_variants(Key("shape", choice(*variants), REQUIRED, ("form",)), variants))
    assert needed.is_valid({"shape": "circle", "radius": 1})
    assert needed.is_valid({"form": "Square"})
    for wrong in ({}, {"radius": 1}, {"shape": "circle"}, {"shape": "square", "radius": 1}, {"shape": "oval"}):
        assert not needed.is_valid(wrong), wrong
    defaulted = Draft202012Validator(of_variants(Key("shape", choice(*variants), "square"), variants))
    assert defaulted.is_valid({"side": 2})
    assert not defaulted.is_valid({"radius": 2})


def test_a_check_of_a_section_carries_the_schema_that_it_is_given() -> None:
    @described({"type": "string"})
    def check(value: Any, path: Any, findings: Any) -> Any:
        return value

    assert of_map((Key("word", check, REQUIRED),))["properties"]["word"] == {"type": "string"}
    assert of_map((Key("word", lambda value, path, findings: value, REQUIRED),))["properties"]["word"] == {}


def test_the_schema_that_is_shipped_is_the_current_one() -> None:
    """Made anew with: ktrdr strategy schema --json > ktrdr/sample/strategy.schema.json"""
    shipped = Path(sample.__file__).with_name("strategy.schema.json").read_text("utf-8")
    assert json.loads(shipped) == file_schema()
