"""The registry against the table of the format: names, aliases, parameters, ranges and outputs."""

from __future__ import annotations

from typing import Any

import pytest

from ktrdr.training.indicators import REGISTRY, find
from ktrdr.training.strategy.parse import from_mapping

#: type: (aliases, parameters with default and range, outputs). A range is given where the format gives one.
TABLE: dict[str, tuple[tuple[str, ...], dict[str, tuple[Any, ...]], tuple[str, ...]]] = {
    "rsi": ((), {"period": (14, 2, 100), "source": ("close",)}, ()),
    "roc": ((), {"period": (10, 1, 100), "source": ("close",)}, ()),
    "momentum": ((), {"period": (10, 1, 100), "source": ("close",)}, ()),
    "cci": ((), {"period": (20, 2, 100)}, ()),
    "williamsr": ((), {"period": (14, 1, 100)}, ()),
    "atr": ((), {"period": (14, 1, 100)}, ()),
    "bollingerbandwidth": ((), {"period": (20, 2, 200), "multiplier": (2.0, 0, 10), "source": ("close",)}, ()),
    "squeezeintensity": (
        (),
        {
            "bb_period": (20,),
            "bb_multiplier": (2.0,),
            "kc_period": (20,),
            "kc_multiplier": (2.0,),
            "source": ("close",),
        },
        (),
    ),
    "simplemovingaverage": (("sma",), {"period": (20, 2, 500), "source": ("close",)}, ()),
    "weightedmovingaverage": (("wma",), {"period": (20, 2, 500), "source": ("close",)}, ()),
    "exponentialmovingaverage": (("ema",), {"period": (20, 1, 500), "source": ("close",), "adjust": (False,)}, ()),
    "distancefromma": ((), {"period": (20, 1, 200), "ma_type": ("SMA",), "source": ("close",)}, ()),
    "mfi": ((), {"period": (14, 1, 100)}, ()),
    "obv": ((), {}, ()),
    "vwap": ((), {"period": (20, 0, 200), "use_typical_price": (True,)}, ()),
    "volumeratio": ((), {"period": (20, 2, 100)}, ()),
    "parabolicsar": ((), {"initial_af": (0.02,), "step_af": (0.02,), "max_af": (0.2,)}, ()),
    "zigzag": ((), {"threshold": (0.05, 0, 1), "source": ("close",)}, ()),
    "macd": (
        (),
        {"fast_period": (12,), "slow_period": (26,), "signal_period": (9,), "source": ("close",)},
        ("line", "signal", "histogram"),
    ),
    "adx": ((), {"period": (14, 2, 200)}, ("adx", "plus_di", "minus_di")),
    "stochastic": ((), {"k_period": (14,), "d_period": (3,), "smooth_k": (3,)}, ("k", "d")),
    "bollingerbands": (
        ("bbands",),
        {"period": (20,), "multiplier": (2.0,), "source": ("close",)},
        ("upper", "middle", "lower"),
    ),
    "keltnerchannels": (
        (),
        {"period": (20,), "atr_period": (10,), "multiplier": (2.0,)},
        ("upper", "middle", "lower"),
    ),
    "donchianchannels": ((), {"period": (20,)}, ("upper", "middle", "lower")),
    "supertrend": ((), {"period": (10,), "multiplier": (3.0,)}, ("trend", "direction")),
    "ichimoku": (
        (),
        {"tenkan_period": (9,), "kijun_period": (26,), "senkou_b_period": (52,), "displacement": (26,)},
        ("tenkan", "kijun", "senkou_a", "senkou_b", "chikou"),
    ),
    "aroon": ((), {"period": (14, 1, 200)}, ("up", "down", "oscillator")),
    "fishertransform": ((), {"period": (10,), "smoothing": (3,)}, ("fisher", "signal")),
    "rvi": ((), {"period": (10, 4, 100), "signal_period": (4,)}, ("rvi", "signal")),
    "cmf": (
        (),
        {"period": (21,)},
        ("cmf", "mf_multiplier", "mf_volume", "momentum", "signal", "histogram", "above_zero", "below_zero"),
    ),
    "adline": (
        (),
        {"smoothing_period": (21,)},
        ("line", "mf_multiplier", "mf_volume", "roc_10", "momentum_21", "relative_strength"),
    ),
}


def read(definition: dict[str, Any]) -> Any:
    """The indicator as the grammar reads it from a file."""
    return from_mapping(
        {
            "name": "x",
            "training_data": {"symbols": {"symbol": "A"}, "timeframes": {"timeframe": "1d"}},
            "indicators": {"x": definition},
            "fuzzy_sets": {"x": {"indicator": "x", "low": [0, 1, 2]}},
            "nn_inputs": [{"fuzzy_set": "x", "timeframes": "all"}],
            "model": {"type": "mlp", "architecture": {"hidden_layers": [4]}},
            "decisions": {"output_format": "classification"},
            "training": {"epochs": 1},
        }
    ).strategy.indicators["x"]


def test_the_registry_holds_the_31_types_of_the_format() -> None:
    assert len(TABLE) == 31
    assert set(REGISTRY) == set(TABLE)


@pytest.mark.parametrize("type", sorted(TABLE))
def test_a_type_has_the_parameters_and_outputs_of_the_format(type: str) -> None:
    aliases, parameters, outputs = TABLE[type]
    registered = REGISTRY[type]
    assert (registered.name, registered.aliases, registered.outputs) == (type, aliases, outputs)
    assert list(registered.parameters) == list(parameters)
    for name, (default, *limits) in parameters.items():
        parameter = registered.parameters[name]
        assert parameter.default == default
        assert type_of(parameter.default) is type_of(default)
        if limits:
            assert [parameter.low, parameter.high] == limits


def type_of(value: object) -> type:
    return value.__class__


@pytest.mark.parametrize("type", sorted(TABLE))
def test_the_grammar_reads_every_type_with_its_defaults_in_any_case(type: str) -> None:
    for name in (type, type.upper(), *TABLE[type][0]):
        indicator = read({"type": name})
        assert indicator.type == type
        assert indicator.params == {name: default for name, (default, *_) in TABLE[type][1].items()}


def test_period_stands_for_both_periods_of_the_squeeze() -> None:
    params = read({"type": "SqueezeIntensity", "period": 30}).params
    assert (params["bb_period"], params["kc_period"]) == (30, 30)
    params = read({"type": "squeezeintensity", "period": 30, "kc_period": 10}).params
    assert (params["bb_period"], params["kc_period"]) == (30, 10)


def test_the_periods_of_the_macd_have_short_names() -> None:
    params = read({"type": "macd", "fast": 5, "slow": 8, "signal": 3}).params
    assert (params["fast_period"], params["slow_period"], params["signal_period"]) == (5, 8, 3)


def test_every_name_is_found_once() -> None:
    names = [name for kind in REGISTRY.values() for name in (kind.name, *kind.aliases)]
    assert len(names) == len(set(names))
    assert all(find(name.title()) is not None for name in names)
