"""What a valid strategy file means: defaults, aliases, which of two values wins, and what is reported as idle."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from strategy_examples import ABSENT, REGRESSION, changed, faults_of, read, warnings_of

from ktrdr.training.strategy.model import (
    ContextSeries,
    EarlyStopping,
    Labels,
    Loss,
    ModelFeatures,
    Optimizer,
    Scheduler,
)
from ktrdr.training.strategy.names import feature_names
from ktrdr.training.strategy.parse import from_mapping, to_mapping


def test_the_defaults_are_those_of_the_specification() -> None:
    strategy = read({"training": {}, "decisions": {}}).strategy
    assert strategy.data.history_required == 200
    assert (strategy.data.base_timeframe, strategy.data.start, strategy.data.end) == ("1d", None, None)
    assert (strategy.model.architecture.dropout, strategy.model.architecture.activation) == (0.2, "relu")
    training = strategy.training
    assert (training.epochs, training.batch_size, training.gradient_clip) == (100, 32, 1.0)
    assert training.optimizer == Optimizer(type="adam", learning_rate=0.001, weight_decay=1e-4, momentum=0.0)
    assert (training.scheduler, training.early_stopping, training.seed) == (None, None, None)
    assert (training.loss, training.class_weights) == (Loss(type="cross_entropy"), "balanced")
    assert training.data_split == (0.7, 0.15, 0.15)
    assert training.labels == Labels(source="zigzag", params={"zigzag_threshold": 0.02})
    assert (strategy.decisions.output_format, strategy.decisions.confidence_threshold) == ("classification", 0.5)
    assert strategy.decisions.min_signal_separation == 4.0
    assert (strategy.decisions.position_awareness, strategy.decisions.allow_short_from_flat) == (True, False)


def test_a_regression_has_defaults_of_its_own() -> None:
    training = read(REGRESSION).strategy.training
    assert training.loss == Loss(type="huber", huber_delta=0.01)
    assert (training.optimizer.weight_decay, training.class_weights) == (0.0, "none")
    assert training.labels == Labels(source="forward_return", params={"horizon": 20})


@pytest.mark.parametrize(
    ("source", "params"),
    [
        ("context", {"horizon": 5, "bullish_threshold": 0.005, "bearish_threshold": -0.005}),
        (
            "triple_barrier",
            {
                "pt_multiplier": 2.0,
                "sl_multiplier": 1.5,
                "max_holding_period": 50,
                "vol_span": 50,
                "vol_method": "atr",
                "compute_weights": False,
                "cusum_threshold": None,
            },
        ),
        (
            "regime",
            {
                "macro_atr_mult": 3.0,
                "micro_atr_mult": 1.0,
                "atr_period": 14,
                "vol_lookback": 120,
                "vol_crisis_threshold": 2.0,
                "progression_tolerance": 0.5,
            },
        ),
    ],
)
def test_every_parameter_of_the_labels_is_filled_in(source: str, params: dict[str, Any]) -> None:
    assert read({"training.labels": {"source": source}}).strategy.training.labels == Labels(
        source=source, params=params
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"training.labels": {"source": "context", "bullish_threshold": 0.02}},
        {"training.labels": {"source": "regime", "micro_atr_mult": 0.5}},
        {"training.labels": {"source": "triple_barrier", "cusum_threshold": 0.01}},
        {"training.labels": {"source": "triple_barrier", "cusum_threshold": -1, "cusum_multiplier": 2}},
        {"training.labels": {"source": "triple_barrier"}},
        {"fuzzy_sets.momentum.low": {"type": "sigmoid", "parameters": [50, -0.5]}},
        {"fuzzy_sets.momentum.low": {"type": "gbell", "parameters": [10, 2, 50]}},
    ],
)
def test_labels_and_memberships_survive_the_way_through_plain_data(changes: dict[str, Any]) -> None:
    strategy = read(changes).strategy
    assert from_mapping(to_mapping(strategy), strict=True).strategy == strategy


def test_the_multiplier_of_an_automatic_threshold_is_filled_in() -> None:
    labels = {"source": "triple_barrier", "cusum_threshold": 0}
    params = read({"training.labels": labels}).strategy.training.labels.params
    assert (params["cusum_threshold"], params["cusum_multiplier"]) == (0.0, 0.5)


def test_every_parameter_of_an_indicator_is_filled_in() -> None:
    indicators = read({"indicators.rsi_14": {"type": "RSI"}}).strategy.indicators
    assert indicators["rsi_14"].type == "rsi"
    assert indicators["rsi_14"].params == {"period": 14, "source": "close"}
    assert indicators["macd_12"].params["signal_period"] == 9


@pytest.mark.parametrize(
    ("alias", "plain"),
    [
        ({"training_data.symbols": {"mode": "multi", "list": ["A"]}}, {"training_data.symbols.symbol": "A"}),
        ({"training_data.symbols": {"symbols": ["A", "B"]}}, {"training_data.symbols": {"list": ["A", "B"]}}),
        (
            {"training_data.start_date": "2020-01-01", "training_data.end_date": "2020-12-31"},
            {"training_data.date_range": {"start": "2020-01-01", "end": "2020-12-31"}},
        ),
        (
            {"indicators.macd_12": {"type": "MACD", "fast": 5}},
            {"indicators.macd_12": {"type": "macd", "fast_period": 5}},
        ),
        (
            {"fuzzy_sets.momentum.low": [0, 20, 40]},
            {"fuzzy_sets.momentum.low": {"type": "triangular", "parameters": [0, 20, 40]}},
        ),
        (
            {
                "fuzzy_sets.momentum": {
                    "indicator": "rsi_14",
                    "memberships": [
                        {"name": "low", "type": "triangular", "parameters": [0, 20, 40]},
                        {"name": "high", "type": "trapezoidal", "parameters": [60, 80, 100, 100]},
                    ],
                }
            },
            {},
        ),
        ({"nn_inputs.0.timeframes": "all"}, {"nn_inputs.0.timeframes": ["1d"]}),
        ({"nn_inputs.0.timeframes": "1d"}, {"nn_inputs.0.timeframes": ["1d"]}),
        ({"model": {"type": "mlp", "hidden_layers": [16, 8]}}, {}),
        ({"training": {}, "model.training": {"epochs": 5}}, {}),
        ({"training.optimizer": "sgd"}, {"training.optimizer": {"type": "SGD", "momentum": 0.9}}),
        ({"training.optimizer": {"type": "adam", "lr": 0.1}}, {"training.learning_rate": 0.1}),
        ({"training.lr_scheduler": True}, {"training.lr_scheduler": {"type": "reduce_on_plateau"}}),
        ({"training.lr_scheduler": "on"}, {"training.lr_scheduler": "reduce_on_plateau"}),
        ({"training.lr_scheduler": "off"}, {}),
        ({"training.early_stopping": True}, {"training.early_stopping": {}}),
        ({"training.early_stopping": {"enabled": False, "patience": 3}}, {}),
        ({"training.gradient_clip": -1}, {"training.gradient_clip": 0}),
        (
            {"training.data_split": {"train": 0.6, "val": 0.2, "test": 0.2}},
            {"training.data_split": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        ),
        (
            {
                "training.labels": {
                    "source": "triple_barrier",
                    "stop_loss_atr": 1,
                    "max_holding_bars": 9,
                    "atr_period": 5,
                }
            },
            {
                "training.labels": {
                    "source": "triple_barrier",
                    "sl_multiplier": 1,
                    "max_holding_period": 9,
                    "vol_span": 5,
                }
            },
        ),
        (
            {"training.labels": {"source": "triple_barrier", "cusum_threshold": None}},
            {"training.labels": {"source": "triple_barrier"}},
        ),
        (
            {"training.labels": {"source": "triple_barrier", "cusum_threshold": -1}},
            {"training.labels": {"source": "triple_barrier", "cusum_threshold": 0, "cusum_multiplier": 0.5}},
        ),
        (
            {"fuzzy_sets.momentum.low": {"type": "Generalized_Bell", "parameters": [10, 2, 50]}},
            {"fuzzy_sets.momentum.low": {"type": "bell", "parameters": [10.0, 2.0, 50.0]}},
        ),
        (
            {"fuzzy_sets.momentum.low": {"type": "gauss", "parameters": [50, 10]}},
            {"fuzzy_sets.momentum.low": {"type": "gaussian", "parameters": [50, 10]}},
        ),
        ({"decisions.position_awareness": "no"}, {"decisions.position_awareness": False}),
        ({"model.features": {"lookback_periods": 0, "scale_features": False}}, {}),
        ({"context_data": []}, {}),
        ({"description": None, "deployment": None}, {}),
    ],
    ids=",".join,
)
def test_two_ways_to_say_the_same(alias: dict[str, Any], plain: dict[str, Any]) -> None:
    assert read(alias).strategy == read(plain).strategy
    assert read(alias).warnings == ()


def test_metadata_is_kept() -> None:
    deployment = {"target_symbols": {"mode": "universal"}}
    strategy = read({"version": 3.0, "scope": "universal", "deployment": deployment}).strategy
    assert strategy.metadata == {"version": "3.0", "scope": "universal", "deployment": deployment}


def test_a_bare_end_date_reaches_to_the_end_of_the_day_and_naive_times_are_utc() -> None:
    dates = {"start": "2020-01-01", "end": "2020-12-31"}
    data = read({"training_data.date_range": dates}).strategy.data
    assert data.start == datetime(2020, 1, 1, tzinfo=UTC)
    assert data.end == datetime(2020, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    data = read(
        {"training_data.date_range": {"start": "2020-01-01T10:00", "end": "2020-01-02T10:00+02:00"}}
    ).strategy.data
    assert (data.start, data.end) == (datetime(2020, 1, 1, 10, tzinfo=UTC), datetime(2020, 1, 2, 8, tzinfo=UTC))


def test_the_values_of_a_submission_win() -> None:
    dates = {"training_data.date_range": {"start": "2020-01-01", "end": "2020-12-31"}}
    parsed = read(dates, symbols=["IBM", "MSFT"], start=date(2019, 1, 1), end="2019-06-30T12:00")
    data = parsed.strategy.data
    assert (data.symbols, data.start) == (("IBM", "MSFT"), datetime(2019, 1, 1, tzinfo=UTC))
    assert (data.end, parsed.warnings) == (datetime(2019, 6, 30, 12, tzinfo=UTC), ())


def test_a_submission_may_give_what_the_file_leaves_out() -> None:
    mapping = changed({"training_data": ABSENT, "nn_inputs.1.timeframes": "all"})
    data = from_mapping(mapping, symbols=["IBM"], timeframes=["1h"]).strategy.data
    assert (data.symbols, data.timeframes, data.base_timeframe) == (("IBM",), ("1h",), "1h")


def test_the_faults_of_a_submission_are_at_its_own_names() -> None:
    faults = faults_of({}, symbols=["A", "B C"], timeframes=["1y"], start="never")
    assert [fault.split(":")[0] for fault in faults] == ["symbols[1]", "timeframes[0]", "start"]
    assert faults_of({"training_data.end_date": "2019-12-31"}, start="2020-01-01") == [
        "start: the end, 2019-12-31, is before the start, 2020-01-01 (an end after the start)"
    ]


RATE = {"provider": "fred", "series": "DGS10", "frequency": "daily"}

WARNINGS = [
    (
        {"trainning": {}},
        "trainning: 'trainning' is not a known key and has no effect (the nearest known key is 'training')",
    ),
    (
        {"training_data.symbol": "X"},
        "training_data.symbol: 'symbol' is not a known key and has no effect (the nearest known key is 'symbols')",
    ),
    (
        {"training.learning_rat": 1},
        "training.learning_rat: 'learning_rat' is not a known key and has no effect (the nearest known key is 'learni",
    ),
    ({"training.method": "supervised"}, "training.method: 'method' is not a known key and has no effect"),
    (
        {"training.labels": {"label_lookahead": 20}},
        "training.labels.label_lookahead: 'label_lookahead' is not a known key",
    ),
    ({"training.labels": {"horizon": 20}}, "training.labels.horizon: 'horizon' has no effect with source 'zigzag'"),
    (
        {"training.labels": {"source": "triple_barrier", "cusum_threshold": 0.01, "cusum_multiplier": 0.5}},
        (
            "training.labels.cusum_multiplier: 'cusum_multiplier' has no effect without an automatic threshold "
            "(cusum_threshold: 0 makes it automatic)"
        ),
    ),
    ({"indicators.rsi_14.perid": 3}, "indicators.rsi_14.perid: 'perid' is not a known key and has no effect"),
    (
        {"model.architecture.output_activation": "softmax"},
        "model.architecture.output_activation: 'output_activation' is",
    ),
    (
        {"model.architectur": {}},
        "model.architectur: 'architectur' is not a known key and has no effect (the nearest known key is 'archit",
    ),
    (
        {"model.dropout": 0.5, "model.architecture.dropout": 0.1},
        "model.dropout: 0.5 has no effect: model.architecture.dropout wins",
    ),
    ({"model.training": {"epochs": 9}}, "model.training.epochs: 9 has no effect: training.epochs wins"),
    ({"model.training": {"method": "supervised"}}, "model.training.method: 'method' is not a known key and has no eff"),
    (
        {"training.learning_rate": 0.1, "training.optimizer": {"type": "adam", "learning_rate": 0.2}},
        "training.learning_rate: 0.1 has no effect: training.optimizer.learning_rate wins",
    ),
    (
        {"training.optimizer": {"type": "adam", "momentum": 0.5}},
        "training.optimizer.momentum: 'momentum' has no effect with type 'adam'",
    ),
    (
        {"training.lr_scheduler": {"type": "cosine", "gamma": 0.5}},
        "training.lr_scheduler.gamma: 'gamma' has no effect with type 'cosine'",
    ),
    ({"training.focal_gamma": 1}, "training.focal_gamma: 'focal_gamma' has no effect with the loss 'cross_entropy'"),
    (
        {**REGRESSION, "training.class_weights": "none"},
        "training.class_weights: 'class_weights' has no effect in a regr",
    ),
    (
        {**REGRESSION, "decisions.confidence_threshold": 0.9},
        "decisions.confidence_threshold: 'confidence_threshold' has no effect with output_format 'regression'",
    ),
    (
        {"decisions.cost_model": {"round_trip_cost": 0.1, "min_edge_multiplier": 1}},
        "decisions.cost_model: 'cost_model' has no effect with output_format 'classification'",
    ),
    ({"nn_inputs.0.normalization": "minmax"}, "nn_inputs[0].normalization: 'normalization' has no effect: memberships"),
    ({"indicators.spare": {"type": "rsi"}}, "indicators.spare: 'spare' has no effect: no entry of nn_inputs reads it"),
    (
        {"fuzzy_sets.spare": {"indicator": "rsi_14", "low": [1, 2, 3]}},
        "fuzzy_sets.spare: 'spare' has no effect: no entry of nn_inputs reads it",
    ),
    (
        {"context_data": [RATE]},
        "context_data[0]: 'DGS10' has no effect: no indicator that is used reads it",
    ),
    (
        {"training_data.timeframes": {"list": ["1d", "1w"]}, "nn_inputs.0.timeframes": "1d"},
        "training_data.timeframes.list[1]: '1w' has no effect: no entry of nn_inputs reads it",
    ),
    (
        {"model.features": {"scale_features": True}},
        "model.features.scale_features: 'scale_features' has no effect: every feature is a membership or has",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), WARNINGS, ids=[w.split(":")[0] for _, w in WARNINGS])
def test_a_key_without_effect_is_reported_and_strictly_refused(changes: dict[str, Any], expected: str) -> None:
    assert [warning[: len(expected)] for warning in warnings_of(changes)] == [expected]
    assert [fault[: len(expected)] for fault in faults_of(changes, strict=True)] == [expected]


def test_what_has_no_effect_is_no_part_of_the_strategy() -> None:
    strategy = read({"indicators.spare": {"type": "rsi"}, "training.method": "supervised"}).strategy
    assert strategy == read({}).strategy


def test_a_base_timeframe_that_the_submission_leaves_out_is_reported() -> None:
    changes = {"training_data.timeframes.base_timeframe": "1d", "nn_inputs.1.timeframes": "all"}
    parsed = read(changes, timeframes=["1h"])
    assert parsed.strategy.data.base_timeframe == "1h"
    assert str(parsed.warnings[0]) == (
        "training_data.timeframes.base_timeframe: "
        "'1d' has no effect: the submission's timeframes win and do not contain it"
    )


def test_schedulers_and_stopping_keep_only_their_own_fields() -> None:
    training = read(
        {
            "training.lr_scheduler": {"type": "step", "step_size": 5},
            "training.early_stopping": {"patience": 3, "monitor": "val_accuracy"},
            "training.loss": "focal",
        }
    ).strategy.training
    assert training.scheduler == Scheduler(type="step", step_size=5, gamma=0.1)
    assert training.early_stopping == EarlyStopping(patience=3, min_delta=0.001, monitor="val_accuracy")
    assert training.loss == Loss(type="focal", focal_gamma=2.0)


def test_the_base_is_the_shortest_timeframe_unless_it_is_given() -> None:
    several = {
        "training_data.timeframes": {"mode": "multi", "list": ["1d", "4h", "1w"]},
        "nn_inputs.1.timeframes": "all",
    }
    data = read(several).strategy.data
    assert (data.timeframes, data.base_timeframe) == (("1d", "4h", "1w"), "4h")
    assert read(several | {"training_data.timeframes.base_timeframe": "1d"}).strategy.data.base_timeframe == "1d"


def test_a_base_timeframe_that_no_input_reads_is_the_base_all_the_same() -> None:
    changes = {"training_data.timeframes": {"list": ["1h", "1d"]}, "nn_inputs.0.timeframes": "1d"}
    parsed = read(changes)
    assert (parsed.warnings, parsed.strategy.data.base_timeframe) == ((), "1h")
    assert parsed.strategy.data.timeframes == ("1h", "1d")


@pytest.mark.parametrize(
    ("lag", "hours"), [(0, 0), (1, 24), (0.5, 12), ("30m", 0.5), ("12h", 12), ("3 d", 72), ("2w", 336), ("0d", 0)]
)
def test_a_publication_lag_is_a_number_of_days_or_says_its_unit(lag: object, hours: float) -> None:
    series = context_of({**RATE, "publication_lag": lag})
    assert series.publication_lag == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("word", "frequency"),
    [("daily", "1d"), ("weekly", "1w"), ("monthly", "1M"), ("quarterly", "1Q"), ("hourly", "1h"), ("4h", "4h")],
)
def test_a_frequency_is_a_timeframe_or_a_word_for_one(word: str, frequency: str) -> None:
    assert context_of({**RATE, "frequency": word}).frequency == frequency


def test_a_context_series_is_known_by_what_names_it_and_survives_plain_json() -> None:
    for kind, name in (("series", "DGS10"), ("symbol", "VIX"), ("report", "EUR")):
        entry = {"provider": "any", kind: name, "timeframe": "1w", "alignment": "forward_fill", "publication_lag": 3}
        assert context_of(entry) == ContextSeries(
            name=name, kind=kind, provider="any", frequency="1w", publication_lag=timedelta(days=3)
        )


def context_of(entry: dict[str, Any]) -> ContextSeries:
    """The one context series of a strategy that reads it, also after a way through plain JSON."""
    name = next(entry[kind] for kind in ("series", "symbol", "report") if kind in entry)
    strategy = read({"context_data": [entry], "indicators.rsi_14.data_source": name}).strategy
    assert from_mapping(json.loads(json.dumps(to_mapping(strategy))), strict=True).strategy == strategy
    assert strategy.indicators["rsi_14"].data_source == name
    return strategy.context[name]


def test_what_is_added_to_the_inputs_is_kept() -> None:
    given = {"lookback_periods": 3, "include_price_context": "yes", "scale_features": True}
    strategy = read({"model.features": given}).strategy
    assert strategy.model.features == ModelFeatures(lookback_periods=3, include_price_context=True, scale_features=True)
    assert len(feature_names(strategy)) == 4 * (3 + 3)
    assert from_mapping(to_mapping(strategy), strict=True).strategy == strategy


def test_feature_names_follow_the_order_of_the_file() -> None:
    assert feature_names(read({}).strategy) == ["1d_momentum_low", "1d_momentum_high", "1d_macd_12.line_raw"]
    swapped = changed({})
    swapped["nn_inputs"].reverse()
    assert feature_names(from_mapping(swapped).strategy)[0] == "1d_macd_12.line_raw"


def test_one_alias_may_stand_for_several_parameters() -> None:
    from ktrdr.training.indicators.registry import REGISTRY, IndicatorType, Parameter

    both = {name: Parameter(default=20, low=2, high=100, aliases=("period",)) for name in ("bb_period", "kc_period")}
    REGISTRY["test_squeeze"] = IndicatorType(
        name="test_squeeze", aliases=(), parameters=both, outputs=(), compute=lambda bars: []
    )
    try:

        def parameters(**given: int) -> dict[str, Any]:
            return dict(
                read({"indicators.rsi_14": {"type": "test_squeeze", **given}}).strategy.indicators["rsi_14"].params
            )

        assert parameters(period=30) == {"bb_period": 30, "kc_period": 30}
        assert parameters(period=30, bb_period=10) == {"bb_period": 10, "kc_period": 30}
    finally:
        del REGISTRY["test_squeeze"]
