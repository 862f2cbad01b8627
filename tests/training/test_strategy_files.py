"""Strategy files as people write them, which together use the whole language: each is valid, and each trains."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import mintalib.samples
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schema_walk import Language
from training_examples import CPU, Recorder, Token

from ktrdr import sample
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.features import features_of
from ktrdr.training.indicators import REGISTRY
from ktrdr.training.pipeline import TrainingPipeline
from ktrdr.training.price_import import read_prices
from ktrdr.training.progress import StageFinished
from ktrdr.training.run import train
from ktrdr.training.specification import ContextReference, PriceReference, Specification
from ktrdr.training.strategy.language import file_schema
from ktrdr.training.strategy.model import Recurrent, Strategy
from ktrdr.training.strategy.parse import from_mapping, parse, to_mapping
from ktrdr.training.strategy.reader import read_text
from ktrdr.training.strategy.summary import summarize, warm_up_bars
from ktrdr.training.strategy.yaml_file import to_yaml

FILES = sorted((Path(__file__).parents[1] / "strategy_files").iterdir())
SAMPLES = sample.strategies()
TEXTS = {file.name: file.read_text("utf-8") for file in FILES} | {
    f"sample {name}": text for name, text in SAMPLES.items()
}

#: Words that mean the same wherever they stand; one file each would prove nothing.
SWITCHES = {"yes", "on", "no", "off"}
#: Keys whose words are not looked for: any timeframe will do, and bare names are words of `type` too.
FREE_WORDS = ("timeframe", "timeframes", "list", "base_timeframe", "frequency", "name", "optimizer", "lr_scheduler")

#: Indicators whose first value depends on the prices.
VARYING = {"zigzag"}


@cache
def schema() -> dict[str, Any]:
    return file_schema()


@cache
def daily() -> Mapping[str, pd.DataFrame]:
    return {
        symbol: frame["2001":"2006"]
        for symbol, frame in read_prices(sample.prices(), filename="prices.csv.gz").frames.items()
    }


@cache
def hourly() -> pd.DataFrame:
    frame = mintalib.samples.sample_prices("hourly")
    index = pd.to_datetime(frame.index, utc=True).rename("time").as_unit("ns")
    return frame.set_axis(index).astype(np.float64)


def prices_of(strategy: Strategy, symbol: str) -> pd.DataFrame:
    """Days of the sample shares; hours of one share, of which each symbol has a part of its own."""
    if strategy.data.base_timeframe == "1d":
        return daily()[symbol]
    place = strategy.data.symbols.index(symbol)
    return hourly().iloc[-1400 * (place + 1) : -1400 * place or None]


def context_of(name: str) -> pd.DataFrame:
    if name in daily():
        return daily()[name]
    steps = np.random.default_rng(len(name)).normal(0, 0.02, 400)
    index = pd.date_range("2001-01-01", periods=400, freq="W-MON", tz="UTC", name="time").as_unit("ns")
    return pd.DataFrame({"value": 4 * np.exp(np.cumsum(steps))}, index=index)


def train_briefly(strategy: Strategy, folder: Path) -> tuple[Any, Recorder]:
    """Two epochs over a few years of days, or over months of hours."""
    brief = replace(strategy, training=replace(strategy.training, epochs=2))
    recorder = Recorder()
    result = train(
        specification_of(brief),
        read_prices=lambda reference: prices_of(brief, reference.symbol),
        read_context=lambda reference: context_of(reference.name),
        output=folder / "model",
        capabilities=CPU,
        progress_callback=recorder,
        cancellation_token=Token(),
    )
    return result, recorder


def specification_of(strategy: Strategy) -> Specification:
    timeframe = "1d" if strategy.data.base_timeframe == "1d" else "1h"
    references = tuple(
        PriceReference(symbol=symbol, timeframe=timeframe, digest="0" * 64) for symbol in strategy.data.symbols
    )
    context = tuple(ContextReference(name=name, digest="0" * 64) for name in strategy.context)
    return Specification(strategy=strategy, prices=references, seed=1, context=context)


def test_there_are_enough_files_to_speak_of() -> None:
    assert len(FILES) >= 30


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_is_valid_and_warns_only_where_its_first_line_says_so(name: str) -> None:
    parsed = parse(TEXTS[name])
    assert parsed.strategy.name.replace("-", "_") in name
    assert bool(parsed.warnings) == TEXTS[name].startswith("# Warnings:")


@pytest.mark.parametrize("name", TEXTS)
def test_an_editor_sees_no_fault_in_a_file_nor_in_what_it_resolves_to(name: str) -> None:
    parsed = parse(TEXTS[name])
    validator = Draft202012Validator(schema())
    faults = [error.message for error in validator.iter_errors(read_text(TEXTS[name]))]
    assert bool(faults) == (TEXTS[name].startswith("# Warnings:")), faults
    assert [error.message for error in validator.iter_errors(to_mapping(parsed.strategy))] == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_written_out_with_its_defaults_means_the_same(name: str) -> None:
    parsed = parse(TEXTS[name])
    again = parse(to_yaml(parsed.strategy, parsed.defaults), strict=True)
    assert again.strategy == parsed.strategy


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=12), st.text(st.characters(codec="ascii"), max_size=12))
@example("\x85", "line ends of YAML alone")
@example("\u2028\u2029\ufeff", "")
def test_any_text_survives_being_written_out(description: str, hypothesis: str) -> None:
    document: Any = read_text(TEXTS["minimal.yaml"])
    with suppress(InvalidInputError):  # some characters have no place in a file
        parsed = from_mapping(
            document | {"description": description, "deployment": {hypothesis: hypothesis, "x": [1.5]}}
        )
        assert parse(to_yaml(parsed.strategy, parsed.defaults)).strategy == parsed.strategy


def test_the_files_use_every_key_and_every_word_of_the_language() -> None:
    language = Language(schema())
    used = {part for text in TEXTS.values() for part in language.used_by(read_text(text))}
    parts = {
        part
        for part in language.parts()
        if not part.endswith("/data_source")
        and part.rpartition("=")[2] not in SWITCHES
        and part.partition("=")[0] not in FREE_WORDS
    }
    assert sorted(parts - used) == []


def test_the_files_use_every_indicator_and_each_of_its_outputs() -> None:
    strategies = [parse(text).strategy for text in TEXTS.values()]
    used = set()
    for strategy in strategies:
        columns = [entry.raw_indicator for entry in strategy.inputs if entry.raw_indicator]
        columns += [fuzzy_set.indicator for fuzzy_set in strategy.fuzzy_sets.values()]
        for id, _, output in (column.partition(".") for column in columns):
            used.add((strategy.indicators[id].type, output))
    wanted = {(name, output) for name, kind in REGISTRY.items() for output in kind.outputs or ("",)}
    assert sorted(wanted - used) == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_trains_and_its_summary_tells_the_size_of_the_network(name: str, tmp_path: Path) -> None:
    strategy = parse(TEXTS[name]).strategy
    result, recorder = train_briefly(strategy, tmp_path)
    assert 1 <= result.epochs_trained <= 2
    facts = {event.name: event.facts for event in recorder.of(StageFinished)}
    summary = summarize(strategy)
    assert facts["create_model"]["parameters"] == summary.parameters
    assert set(facts["engineer_features"]["columns"].values()) == {len(summary.features)}


@pytest.mark.parametrize("name", TEXTS)
def test_the_warm_up_of_a_summary_is_never_too_short_and_exact_for_one_timeframe(name: str) -> None:
    strategy = parse(TEXTS[name]).strategy
    pipeline = TrainingPipeline(specification_of(strategy), CPU)
    charts = pipeline.load_price_data(lambda r: prices_of(strategy, r.symbol), lambda r: context_of(r.name))
    architecture = strategy.model.architecture
    rows_before = architecture.sequence_length - 1 if isinstance(architecture, Recurrent) else 0
    kinds = {indicator.type for indicator in strategy.indicators.values()}
    for of_symbol in charts.values():
        found = int(features_of(strategy, of_symbol).complete_rows()[0]) + rows_before
        told = warm_up_bars(strategy)
        if len(strategy.data.timeframes) == 1 and not strategy.context and not kinds & VARYING:
            assert found == told
        elif not kinds & VARYING:
            assert found <= told
