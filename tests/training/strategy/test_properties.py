"""Whatever is written, the grammar answers with a strategy or with faults; and what it reads it can write back."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy_examples import VALID, changed

from ktrdr.training.faults import InvalidInputError
from ktrdr.training.strategy.model import TIMEFRAMES
from ktrdr.training.strategy.names import feature_names
from ktrdr.training.strategy.parse import from_mapping, parse, to_mapping

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, child in children for deeper in _paths(child, (*path, key)))]


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60) | PLAIN.map(json.dumps))
def test_no_text_raises_anything_but_faults(text: str | bytes) -> None:
    with suppress(InvalidInputError):
        parse(text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_paths(VALID)[1:]), PLAIN | st.sampled_from(["all", "1d", "rsi_14", 0, 1, -1, 0.5, [], {}]))
def test_a_file_with_any_value_anywhere_is_read_or_faulted(path: tuple[Any, ...], value: Any) -> None:
    mapping = changed({})
    place: Any = mapping
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with suppress(InvalidInputError):
        strategy = from_mapping(mapping).strategy
        assert from_mapping(to_mapping(strategy)).strategy == strategy


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 30), st.text(max_size=4))
def test_a_file_with_characters_changed_is_read_or_faulted(start: int, length: int, inserted: str) -> None:
    text = yaml.safe_dump(VALID, sort_keys=False)
    with suppress(InvalidInputError):
        parse(text[: start % len(text)] + inserted + text[start % len(text) + length :])


NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
MEMBERSHIP = st.lists(NUMBERS, min_size=3, max_size=4).map(sorted) | st.tuples(NUMBERS, st.floats(1e-9, 1e9)).map(
    lambda p: {"type": "gaussian", "parameters": list(p)}
)
OPTIMIZER = st.sampled_from(["adam", "adamw", "sgd", "rmsprop"])
SCHEDULER = st.sampled_from(
    [True, False, {"type": "step", "gamma": 0.3}, "exponential", "cosine", {"type": "reduce_on_plateau"}]
)
CLASSIFIED = st.sampled_from(
    [
        {"source": "zigzag", "zigzag_threshold": 0.03},
        {"source": "triple_barrier", "pt_multiplier": 3, "vol_method": "close", "compute_weights": True},
    ]
)


@st.composite
def strategies(draw: st.DrawFn) -> dict[str, Any]:
    mapping = changed({})
    mapping["fuzzy_sets"]["momentum"] = {
        "indicator": "rsi_14",
        **draw(
            st.dictionaries(
                st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True).filter(lambda n: n != "indicator"),
                MEMBERSHIP,
                min_size=1,
                max_size=4,
            )
        ),
    }
    training: dict[str, Any] = {
        "epochs": draw(st.integers(1, 100_000)),
        "optimizer": {"type": draw(OPTIMIZER), "weight_decay": draw(st.floats(0, 1))},
        "lr_scheduler": draw(SCHEDULER),
        "early_stopping": draw(st.sampled_from([False, {"patience": 3, "min_delta": 0}])),
        "gradient_clip": draw(st.floats(-1, 5)),
    }
    if draw(st.booleans()):
        training["seed"] = draw(st.integers(0, 2**53 - 1))
    if draw(st.booleans()):
        mapping["decisions"] = {
            "output_format": "regression",
            "cost_model": {"round_trip_cost": draw(st.floats(1e-6, 1)), "min_edge_multiplier": draw(st.floats(0.1, 9))},
        }
        training |= {
            "loss": draw(st.sampled_from(["huber", "mse"])),
            "labels": {"source": "forward_return", "horizon": 3},
        }
    else:
        mapping["decisions"] = {
            "confidence_threshold": draw(st.floats(0, 1)),
            "position_awareness": draw(st.booleans()),
        }
        training |= {"loss": draw(st.sampled_from(["focal", "cross_entropy"])), "labels": draw(CLASSIFIED)}
        training["class_weights"] = draw(st.sampled_from(["balanced", "none"]))
    mapping["training"] = training
    if draw(st.booleans()):
        limits = sorted(draw(st.tuples(st.dates(), st.dates()).filter(lambda d: all(1700 < x.year < 2200 for x in d))))
        mapping["training_data"]["date_range"] = {"start": str(limits[0]), "end": str(limits[1])}
    if draw(st.booleans()):
        timeframes = draw(st.lists(st.sampled_from(TIMEFRAMES), min_size=1, max_size=4, unique=True))
        mapping["training_data"]["timeframes"] = {"list": timeframes}
        mapping["nn_inputs"][1]["timeframes"] = draw(st.sampled_from(["all", timeframes[-1]]))
        mapping["indicators"]["macd_12"]["data_source"] = "DGS10"
        lag = draw(st.floats(0, 3650) | st.sampled_from(["12h", "3d"]))
        mapping["context_data"] = [
            {"provider": "fred", "series": name, "frequency": "1Q", "publication_lag": lag} for name in ("X", "DGS10")
        ]
    mapping["model"]["features"] = {
        "lookback_periods": draw(st.integers(0, 3)),
        "include_price_context": draw(st.booleans()),
        "scale_features": draw(st.booleans()),
    }
    # A text such as 0E0 is one to the YAML that writes it here, and a number to the reader.
    mapping["description"] = "about " + draw(st.text(max_size=20).filter(lambda text: text.isprintable()))
    return mapping


@settings(max_examples=100, deadline=None)
@given(strategies())
def test_a_strategy_survives_the_way_through_plain_json(mapping: dict[str, Any]) -> None:
    first = from_mapping(mapping)
    # Events hold canonical JSON, which sorts the keys of every map.
    written = json.loads(json.dumps(to_mapping(first.strategy), sort_keys=True))
    again = from_mapping(written, strict=True)
    assert again.strategy == first.strategy
    assert again.warnings == ()
    assert feature_names(again.strategy) == feature_names(first.strategy)
    assert to_mapping(again.strategy) == written
    assert parse(yaml.safe_dump(written)).strategy == first.strategy


def test_reading_a_strategy_loads_neither_torch_nor_pandas() -> None:
    program = (
        "import json, sys; from ktrdr.training.strategy.parse import parse; parse(sys.argv[1]);"
        "print(sorted({'torch', 'pandas', 'talib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(VALID)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
