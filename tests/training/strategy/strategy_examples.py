"""A small valid strategy and what the tests of the grammar do with it."""

from __future__ import annotations

import copy
from typing import Any

from ktrdr.training.faults import InvalidInputError
from ktrdr.training.strategy.parse import Parsed, from_mapping

VALID: dict[str, Any] = {
    "name": "demo",
    "training_data": {
        "symbols": {"mode": "single", "symbol": "AAPL"},
        "timeframes": {"mode": "single", "timeframe": "1d"},
    },
    "indicators": {
        "rsi_14": {"type": "rsi", "period": 14},
        "macd_12": {"type": "macd", "fast_period": 12, "slow_period": 26},
    },
    "fuzzy_sets": {
        "momentum": {"indicator": "rsi_14", "low": [0, 20, 40], "high": [60, 80, 100, 100]},
    },
    "nn_inputs": [
        {"fuzzy_set": "momentum", "timeframes": "all"},
        {"raw_indicator": "macd_12.line", "timeframes": ["1d"], "normalization": "zscore"},
    ],
    "model": {"type": "mlp", "architecture": {"hidden_layers": [16, 8]}},
    "decisions": {"output_format": "classification"},
    "training": {"epochs": 5},
}

REGRESSION: dict[str, Any] = {
    "decisions": {
        "output_format": "regression",
        "cost_model": {"round_trip_cost": 0.003, "min_edge_multiplier": 1.5},
    },
    "training": {"labels": {"source": "forward_return"}},
}

#: Stands for leaving a key out.
ABSENT = object()


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The valid strategy with values put at dotted paths, such as `{"training.epochs": 0}`."""
    mapping = copy.deepcopy(VALID)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = mapping
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        if value is ABSENT:
            del place[last]
        elif isinstance(place, list):
            place[int(last)] = copy.deepcopy(value)
        else:
            place[last] = copy.deepcopy(value)
    return mapping


def read(changes: dict[str, Any], **options: Any) -> Parsed:
    return from_mapping(changed(changes), **options)


def faults_of(changes: dict[str, Any], **options: Any) -> list[str]:
    """What is wrong with the changed strategy, each fault as people read it."""
    try:
        read(changes, **options)
    except InvalidInputError as error:
        return [str(fault) for fault in error.faults]
    return []


def warnings_of(changes: dict[str, Any], **options: Any) -> list[str]:
    return [str(warning) for warning in read(changes, **options).warnings]
