"""Every kind of mistake in a strategy file, and what people are told of it."""

from __future__ import annotations

import pytest
from strategy_examples import ABSENT, REGRESSION, faults_of

RATE = {"provider": "fred", "series": "DGS10", "frequency": "daily"}
#: Five memberships, so that with their lags there are too many features.
MANY = {f"fuzzy_sets.momentum.m{number}": [1, 2, 3] for number in range(5)}

FAULTS = [
    # The words themselves.
    ({"name": "a b"}, "name: 'a b' is not allowed (1 to 100 letters, digits, _ and -, the first a letter or digit)"),
    ({"name": ABSENT}, "name: 'name' is missing (for example name: trend_follower)"),
    ({"training.epochs": 0}, "training.epochs: 0 is out of range (a whole number from 1 to 100000)"),
    ({"training.epochs": 5.0}, "training.epochs: 5.0 is not a whole number (a whole number from 1 to 100000)"),
    ({"training.epochs": True}, "training.epochs: true is not a whole number (a whole number from 1 to 100000)"),
    ({"training.epochs": "5"}, "training.epochs: '5' is not a whole number (a whole number from 1 to 100000)"),
    ({"training.epochs": None}, "training.epochs: null is not a whole number (a whole number from 1 to 100000)"),
    ({"training.epochs": 10**60}, "training.epochs: a number of more than 38 digits is out of range"),
    ({"training.batch_size": -1}, "training.batch_size: -1 is out of range"),
    ({"training.learning_rate": 0}, "training.learning_rate: 0 is out of range (a number above 0 and to 10)"),
    ({"training.learning_rate": "fast"}, "training.learning_rate: 'fast' is not a number"),
    (
        {"training.optimizer": "adm"},
        "training.optimizer.type: 'adm' is not known here (one of adam, adamw, sgd, rmsprop; the nearest is 'adam')",
    ),
    ({"training.optimizer": {"type": "sgd", "momentum": 1}}, "training.optimizer.momentum: 1 is out of range"),
    ({"training.optimizer": {"momentum": 0.9}}, "training.optimizer.type: 'type' is missing (for example type: adam)"),
    ({"training.optimizer": 3}, "training.optimizer: 3 is not a map"),
    ({"training.lr_scheduler": {"type": "cyclic"}}, "training.lr_scheduler.type: 'cyclic' is not known here"),
    (
        {"training.lr_scheduler": {"type": "reduce_on_plateau", "factor": 1}},
        "training.lr_scheduler.factor: 1 is out of range (a number above 0 and below 1)",
    ),
    ({"training.early_stopping": {"patience": 0}}, "training.early_stopping.patience: 0 is out of range"),
    ({"training.early_stopping": {"enabled": "maybe"}}, "training.early_stopping.enabled: 'maybe' is not a switch"),
    ({"training.class_weights": None}, "training.class_weights: null is not a name (one of balanced, none)"),
    ({"training.gradient_clip": None}, "training.gradient_clip: null is not a number"),
    ({"training.seed": -1}, "training.seed: -1 is out of range"),
    (
        {"training.data_split": {"train": 0.8, "validation": 0.1, "test": 0.2}},
        "training.data_split: the shares sum to 1.1",
    ),
    ({"training.data_split": {"train": 0.8, "val": 0.2}}, "training.data_split.test: 'test' is missing"),
    ({"training.data_split": [0.7, 0.2, 0.1]}, "training.data_split: a list of 3 is not a map"),
    ({"model.training": {"epochs": 0}}, "model.training.epochs: 0 is out of range"),
    # Section 2.
    (
        {"training_data.symbols": ABSENT},
        "training_data.symbols: no symbol is given (for example symbols: {mode: single, symbol: ...})",
    ),
    ({"training_data.symbols.symbol": "EUR/USD"}, "training_data.symbols.symbol: 'EUR/USD' is not allowed"),
    ({"training_data.symbols.symbol": True}, "training_data.symbols.symbol: true is not text (put it in quotes)"),
    ({"training_data.symbols": ["A"]}, "training_data.symbols: a list of 1 is not a map"),
    ({"training_data.symbols": {"mode": "single"}}, "training_data.symbols.symbol: no symbol is given"),
    ({"training_data.symbols.list": ["A"]}, "training_data.symbols.list: both 'symbol' and 'list' are given"),
    (
        {"training_data.symbols": {"mode": "single", "list": ["A", "B"]}},
        "training_data.symbols.mode: 'single' contradicts a list of 2 (use mode: multi)",
    ),
    ({"training_data.symbols": {"list": ["A", "A"]}}, "training_data.symbols.list[1]: 'A' is listed twice"),
    (
        {"training_data.symbols": {"list": ["A"], "symbols": ["B"]}},
        "training_data.symbols.symbols: 'symbols' means the same as 'list' (keep one of the two)",
    ),
    ({"training_data.timeframes.timeframe": "1D"}, "training_data.timeframes.timeframe: '1D' is not known here"),
    (
        {"training_data.timeframes.base_timeframe": "1h"},
        "training_data.timeframes.base_timeframe: '1h' is not among the timeframes (one of 1d)",
    ),
    ({"training_data.history_required": 49}, "training_data.history_required: 49 is out of range"),
    ({"training_data.date_range": {"start": "soon"}}, "training_data.date_range.start: 'soon' is not a date"),
    (
        {"training_data.date_range": {"start": "0001-01-01"}},
        "training_data.date_range.start: '0001-01-01' is out of range",
    ),
    (
        {"training_data.date_range": {"start": "2020-02-01", "end": "2020-01-31"}},
        "training_data.date_range.end: the end, 2020-01-31, is before the start, 2020-02-01",
    ),
    (
        {"training_data.date_range": {"start": "2020-01-01"}, "training_data.start_date": "2021-01-01"},
        "training_data.start_date: 'start_date' means the same as 'start'",
    ),
    ({"context_data": {"provider": "fred"}}, "context_data: a map is not a list (a list of 0 to 100)"),
    ({"context_data": ["VIX"]}, "context_data[0]: 'VIX' is not a map"),
    (
        {"context_data": [{"provider": "fred", "frequency": "daily"}]},
        "context_data[0]: exactly one of 'series', 'symbol' and 'report' must be given (it is the name)",
    ),
    (
        {"context_data": [{**RATE, "symbol": "VIX"}]},
        "context_data[0]: exactly one of 'series', 'symbol' and 'report' must be given",
    ),
    (
        {"context_data": [{"series": "DGS10", "frequency": "daily"}]},
        "context_data[0].provider: 'provider' is missing (for example provider: fred)",
    ),
    (
        {"context_data": [{"provider": "fred", "series": "DGS10"}]},
        "context_data[0].frequency: 'frequency' is missing (for example frequency: daily)",
    ),
    ({"context_data": [{**RATE, "frequency": "fortnightly"}]}, "context_data[0].frequency: 'fortnightly' is not known"),
    ({"context_data": [{**RATE, "series": "a b"}]}, "context_data[0].series: 'a b' is not allowed (1 to 64 letters"),
    ({"context_data": [{**RATE, "alignment": "mean"}]}, "context_data[0].alignment: 'mean' is not known here"),
    (
        {"context_data": [{**RATE, "publication_lag": "soon"}]},
        (
            "context_data[0].publication_lag: 'soon' is no length of time "
            "(a number of days, or text such as 30m, 12h, 1d or 2w, at most 3650 days)"
        ),
    ),
    ({"context_data": [{**RATE, "publication_lag": -1}]}, "context_data[0].publication_lag: -1 is out of range"),
    ({"context_data": [{**RATE, "publication_lag": "900w"}]}, "context_data[0].publication_lag: '900w' is out of"),
    ({"context_data": [{**RATE, "publication_lag": True}]}, "context_data[0].publication_lag: true is no length"),
    ({"context_data": [RATE, RATE]}, "context_data[1].series: 'DGS10' is the name of context_data.0 already"),
    ({"context_data": [{**RATE, "series": "1d"}]}, "context_data[0].series: '1d' is a timeframe (another name)"),
    # Section 3.
    ({"indicators.rsi_14.period": 1}, "indicators.rsi_14.period: 1 is out of range (a whole number from 2 to 100)"),
    ({"indicators.rsi_14.source": "clos"}, "indicators.rsi_14.source: 'clos' is not known here"),
    ({"indicators.rsi_14.type": "rsj"}, "indicators.rsi_14.type: 'rsj' is not an indicator (the nearest is 'rsi')"),
    ({"indicators.rsi_14.type": 3}, "indicators.rsi_14.type: 3 is not the name of an indicator"),
    ({"indicators.rsi_14.type": ABSENT}, "indicators.rsi_14.type: 'type' is missing (for example type: rsi)"),
    ({"indicators.rsi_14": None}, "indicators.rsi_14: null is not a map"),
    (
        {"indicators.rsi_14.data_source": "VIX"},
        "indicators.rsi_14.data_source: there is no context series 'VIX' (declare it in context_data)",
    ),
    (
        {"context_data": [RATE], "indicators.rsi_14.data_source": "DGS2"},
        "indicators.rsi_14.data_source: there is no context series 'DGS2' (one of DGS10)",
    ),
    ({"indicators.rsi_14.data_source": 7}, "indicators.rsi_14.data_source: 7 is not text (put it in quotes)"),
    (
        {"indicators.rsi_14": {"type": "zigzag", "threshold": 1}},
        "indicators.rsi_14.threshold: 1 is out of range (a number above 0 and below 1)",
    ),
    (
        {"indicators.rsi_14": {"type": "squeezeintensity", "period": 5, "bb_period": 5, "kc_period": 5}},
        "indicators.rsi_14.period: 'period' means the same as bb_period and kc_period (keep one of the two)",
    ),
    ({"indicators.macd_12.fast": 5}, "indicators.macd_12.fast: 'fast' means the same as fast_period"),
    (
        {"indicators.macd_12.fast_period": 26},
        "indicators.macd_12.fast_period: fast_period 26 is not smaller than slow_period 26",
    ),
    # Section 4.
    ({"fuzzy_sets": {}}, "fuzzy_sets: there is no fuzzy set (1 to 500 fuzzy sets)"),
    ({"fuzzy_sets": ABSENT}, "fuzzy_sets: there is no fuzzy set"),
    ({"fuzzy_sets.momentum.indicator": ABSENT}, "fuzzy_sets.momentum.indicator: 'indicator' is missing"),
    (
        {"fuzzy_sets.momentum.indicator": "rsi_15"},
        "fuzzy_sets.momentum.indicator: there is no indicator 'rsi_15' (one of rsi_14, macd_12; the nearest is 'rsi_",
    ),
    (
        {"fuzzy_sets.momentum.indicator": "rsi_14.value"},
        "fuzzy_sets.momentum.indicator: 'rsi_14.value' names an output, but rsi has only one (write rsi_14)",
    ),
    (
        {"fuzzy_sets.momentum.indicator": "macd_12.lin"},
        "fuzzy_sets.momentum.indicator: macd has no output 'lin' (one of line, signal, histogram)",
    ),
    ({"fuzzy_sets.momentum": {"indicator": "rsi_14"}}, "fuzzy_sets.momentum: it has 0 memberships"),
    ({"fuzzy_sets.momentum.low": [1, 2]}, "fuzzy_sets.momentum.low: a list of 2 is no membership"),
    (
        {"fuzzy_sets.momentum.memberships": [{"name": "low", "type": "triangular", "parameters": [1, 2, 3]}]},
        "fuzzy_sets.momentum.memberships[0].name: 'low' is given twice (another name)",
    ),
    (
        {"fuzzy_sets.momentum.memberships": [{"type": "triangular", "parameters": [1, 2, 3]}]},
        "fuzzy_sets.momentum.memberships[0].name: null is no name (for example name: low)",
    ),
    ({"fuzzy_sets.momentum.low": "x"}, "fuzzy_sets.momentum.low: 'x' is no membership"),
    ({"fuzzy_sets.momentum.low": [1, "x", 3]}, "fuzzy_sets.momentum.low[1]: 'x' is not a number"),
    ({"fuzzy_sets.momentum.low": [1, 10**400, 3]}, "fuzzy_sets.momentum.low[1]: a number of more than 38 digits"),
    (
        {"fuzzy_sets.momentum.low": [40, 20, 50]},
        "fuzzy_sets.momentum.low: [40, 20, 50] is not in ascending order (triangular [a, b, c] with a <= b <= c)",
    ),
    (
        {"fuzzy_sets.momentum.low": {"type": "gaussian", "parameters": [50, 0]}},
        "fuzzy_sets.momentum.low.parameters[1]: the sigma 0 is not above 0 (gaussian [mu, sigma] with sigma > 0)",
    ),
    (
        {"fuzzy_sets.momentum.low": {"type": "triangular", "parameters": [1, 2]}},
        "fuzzy_sets.momentum.low.parameters: a list of 2 is the wrong length for triangular [a, b, c] (3 numbers)",
    ),
    (
        {"fuzzy_sets.momentum.low": {"type": "sigmoid", "parameters": [50, 0]}},
        (
            "fuzzy_sets.momentum.low.parameters[1]: the slope is 0, which tells no values apart "
            "(sigmoid [centre, slope] with another slope)"
        ),
    ),
    (
        {"fuzzy_sets.momentum.low": {"type": "gbell", "parameters": [-10, 2, 50]}},
        (
            "fuzzy_sets.momentum.low.parameters[0]: the width -10 is not above 0 "
            "(bell [width, slope, centre] with width > 0 and slope > 0)"
        ),
    ),
    (
        {"fuzzy_sets.momentum.low": {"type": "bell", "parameters": [10, 0, 50]}},
        "fuzzy_sets.momentum.low.parameters[1]: the slope 0 is not above 0",
    ),
    (
        {"fuzzy_sets.momentum.low": {"type": "bell", "parameters": [10, 2]}},
        "fuzzy_sets.momentum.low.parameters: a list of 2 is the wrong length for bell [width, slope, centre]",
    ),
    (
        {"fuzzy_sets.momentum.low": {"type": "belle", "parameters": [10, 2, 50]}},
        (
            "fuzzy_sets.momentum.low.type: 'belle' is not known here "
            "(one of triangular, trapezoidal, gaussian, sigmoid, bell; the nearest is 'bell')"
        ),
    ),
    ({"fuzzy_sets.momentum.so low": [1, 2, 3]}, "fuzzy_sets.momentum.so low: 'so low' is not allowed"),
    ({"nn_inputs": []}, "nn_inputs: an empty list is not the right length (a list of 1 to 500)"),
    ({"nn_inputs": {}}, "nn_inputs: a map is not a list"),
    ({"nn_inputs.0": "momentum"}, "nn_inputs[0]: 'momentum' is not a map"),
    (
        {"nn_inputs.0": {"timeframes": "all"}},
        "nn_inputs[0]: exactly one of 'fuzzy_set' and 'raw_indicator' must be given",
    ),
    ({"nn_inputs.0.raw_indicator": "rsi_14"}, "nn_inputs[0]: exactly one of 'fuzzy_set' and 'raw_indicator'"),
    (
        {"nn_inputs.0.fuzzy_set": "moment"},
        "nn_inputs[0].fuzzy_set: there is no fuzzy set 'moment' (one of momentum; the nearest is 'momentum')",
    ),
    ({"nn_inputs.1.raw_indicator": "macd"}, "nn_inputs[1].raw_indicator: there is no indicator 'macd'"),
    ({"nn_inputs.0.timeframes": ABSENT}, "nn_inputs[0].timeframes: 'timeframes' is missing"),
    (
        {"nn_inputs.0.timeframes": "1h"},
        "nn_inputs[0].timeframes: '1h' is not among the timeframes of training_data (one of 1d, all)",
    ),
    ({"nn_inputs.1.normalization": "max"}, "nn_inputs[1].normalization: 'max' is not known here"),
    (
        {"nn_inputs.1": {"fuzzy_set": "momentum", "timeframes": "1d"}},
        "nn_inputs[1]: the feature '1d_momentum_low' is given by nn_inputs[0] already",
    ),
    # Section 5.
    ({"model": ABSENT}, "model.type: 'type' is missing (for example type: mlp)"),
    ({"model.type": "rnn"}, "model.type: 'rnn' is not known here (one of mlp, lstm, gru"),
    ({"model": {"type": "lstm", "hidden_size": 0}}, "model.hidden_size: 0 is out of range (a whole number from 1 to"),
    ({"model": {"type": "gru", "sequence_length": 2001}}, "model.sequence_length: 2001 is out of range"),
    ({"model.architecture": {}}, "model.architecture.hidden_layers: 'hidden_layers' is missing"),
    ({"model.architecture.hidden_layers": [0]}, "model.architecture.hidden_layers[0]: 0 is out of range"),
    ({"model.architecture.dropout": 1}, "model.architecture.dropout: 1 is out of range (a number from 0 below 1)"),
    ({"model.architecture.activation": "swish"}, "model.architecture.activation: 'swish' is not known here"),
    (
        {"model.architecture.hidden_layers": [8192, 8192]},
        "model.architecture.hidden_layers: the network would have at least 67158017 weights (at most 50000000)",
    ),
    ({"model.features": {"lookback_periods": -1}}, "model.features.lookback_periods: -1 is out of range"),
    ({"model.features": {"lookback_periods": 1.0}}, "model.features.lookback_periods: 1.0 is not a whole number"),
    ({"model.features": {"scale_features": 1}}, "model.features.scale_features: 1 is not a switch (true or false)"),
    ({"model.features": {"include_price_context": "maybe"}}, "model.features.include_price_context: 'maybe' is not"),
    ({"model.features": {"lookback_periods": 500}, "nn_inputs.0.timeframes": ["1d"], **MANY}, "nn_inputs: they make"),
    (
        {
            "model.features": {"include_price_context": True},
            "fuzzy_sets.volume": {"indicator": "rsi_14", "ratio": [1, 2, 3]},
            "nn_inputs.1": {"fuzzy_set": "volume", "timeframes": "1d"},
        },
        "nn_inputs[1]: the feature '1d_volume_ratio' is given by model.features already",
    ),
    (
        {
            "model.features": {"lookback_periods": 1},
            "fuzzy_sets.momentum.low_lag1": [1, 2, 3],
        },
        "nn_inputs[0]: the feature '1d_momentum_low_lag1' is given by model.features already",
    ),
    # Sections 6 and 8.
    ({"training.labels": {"source": "astrology"}}, "training.labels.source: 'astrology' is not known here"),
    ({"training.labels": {"zigzag_threshold": 1}}, "training.labels.zigzag_threshold: 1 is out of range"),
    (
        {"training.labels": {"source": "triple_barrier", "cusum_threshold": "auto"}},
        "training.labels.cusum_threshold: 'auto' is not a number",
    ),
    (
        {"training.labels": {"source": "triple_barrier", "cusum_threshold": 0, "cusum_multiplier": 0}},
        "training.labels.cusum_multiplier: 0 is out of range",
    ),
    (
        {"training.labels": {"source": "context", "bullish_threshold": 0.01, "bearish_threshold": 0.01}},
        (
            "training.labels.bearish_threshold: bearish_threshold 0.01 is not below bullish_threshold 0.01 "
            "(bearish_threshold < bullish_threshold)"
        ),
    ),
    (
        {"training.labels": {"source": "context", "bullish_threshold": -0.01}},
        "training.labels.bullish_threshold: bearish_threshold -0.005 is not below bullish_threshold -0.01",
    ),
    (
        {"training.labels": {"source": "regime", "macro_atr_mult": 0.5}},
        "training.labels.macro_atr_mult: micro_atr_mult 1 is not below macro_atr_mult 0.5",
    ),
    ({"training.labels": {"source": "regime", "atr_period": 1}}, "training.labels.atr_period: 1 is out of range"),
    (
        {"training.labels": {"source": "regime", "progression_tolerance": 1.1}},
        "training.labels.progression_tolerance: 1.1 is out of range (a number from 0 to 1)",
    ),
    (
        {"training.labels": {"source": "regime", "vol_lookback": 1.5}},
        "training.labels.vol_lookback: 1.5 is not a whole",
    ),
    (
        {"training.labels": {"source": "triple_barrier", "pt_multiplier": 2, "profit_target_atr": 2}},
        "training.labels.profit_target_atr: 'profit_target_atr' means the same as 'pt_multiplier'",
    ),
    (
        {"training.labels": {"source": "forward_return"}},
        (
            "training.labels.source: 'forward_return' labels do not fit decisions.output_format 'classification' "
            "(one of zigzag, context, triple_barrier, regime, or output_format: regression)"
        ),
    ),
    (
        {"training.loss": "huber"},
        (
            "training.loss: the loss 'huber' does not fit decisions.output_format 'classification' "
            "(one of cross_entropy, focal)"
        ),
    ),
    ({**REGRESSION, "decisions.cost_model": ABSENT}, "decisions.cost_model: 'cost_model' is missing; regression needs"),
    (
        {**REGRESSION, "decisions.cost_model": {"round_trip_cost": 0, "min_edge_multiplier": 1}},
        "decisions.cost_model.round_trip_cost: 0 is out of range",
    ),
    (
        {**REGRESSION, "training.early_stopping": {"monitor": "val_accuracy"}},
        "training.early_stopping.monitor: 'val_accuracy' is not known in a regression (val_loss)",
    ),
    ({"decisions.output_format": "clasification"}, "decisions.output_format: 'clasification' is not known here"),
    ({"decisions.confidence_threshold": 2}, "decisions.confidence_threshold: 2 is out of range (a number from 0 to 1)"),
    (
        {"decisions.filters": {"min_signal_separation": -1}},
        "decisions.filters.min_signal_separation: -1 is out of range",
    ),
    ({"deployment": "x"}, "deployment: 'x' is not a map"),
    ({"description": 3}, "description: 3 is not text"),
]


@pytest.mark.parametrize(
    ("changes", "expected"), FAULTS, ids=[fault.split(" ")[0] + str(i) for i, (_, fault) in enumerate(FAULTS)]
)
def test_a_mistake_is_told_with_its_path_the_value_and_what_would_be_right(changes: dict, expected: str) -> None:
    faults = faults_of(changes)
    assert [fault[: len(expected)] for fault in faults] == [expected]


def test_all_faults_of_a_file_are_told_at_once() -> None:
    faults = faults_of(
        {
            "name": "?",
            "training.epochs": 0,
            "training.loss": "huber",
            "indicators.rsi_14.period": 1000,
            "fuzzy_sets.momentum.low": [3, 2, 1],
            "nn_inputs.0.timeframes": "1h",
            "model.type": "rnn",
        }
    )
    assert [fault.split(":")[0] for fault in faults] == [
        "name",
        "indicators.rsi_14.period",
        "fuzzy_sets.momentum.low",
        "nn_inputs[0].timeframes",
        "model.type",
        "training.epochs",
        "training.loss",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"indicators": [{"name": "rsi"}]},
            (
                "indicators: this is not a version 3 strategy file: `indicators` is a list of 1 "
                "(version 3 has `indicators` as a map of ids, and a list `nn_inputs`)"
            ),
        ),
        ({"nn_inputs": ABSENT}, "nn_inputs: this is not a version 3 strategy file: `nn_inputs` is missing"),
    ],
)
def test_a_file_of_another_version_is_told_so_and_nothing_else(changes: dict, expected: str) -> None:
    faults = faults_of({**changes, "training.epochs": 0})
    assert [fault[: len(expected)] for fault in faults] == [expected]


def test_a_hostile_number_of_mistakes_is_cut_short() -> None:
    mapping = {f"training.key_{number}": 1 for number in range(5000)} | {"training.epochs": 0}
    assert len(faults_of(mapping, strict=True)) <= 201


def test_too_many_features_are_refused() -> None:
    memberships = {f"m{number}": [1, 2, 3] for number in range(50)}
    sets = {f"s{number}": {"indicator": "rsi_14", **memberships} for number in range(41)}
    inputs = [{"fuzzy_set": name, "timeframes": "all"} for name in sets]
    with_inputs = {"fuzzy_sets": sets, "nn_inputs": [*inputs]}
    assert "nn_inputs: they make 2050 features (at most 2000)" in faults_of(with_inputs)


def test_a_recurrent_network_that_is_too_large_is_told_at_its_own_key() -> None:
    (fault,) = faults_of({"model": {"type": "lstm", "architecture": {"hidden_size": 4096, "num_layers": 2}}})
    assert fault.startswith("model.architecture.hidden_size: the network would have at least ")
