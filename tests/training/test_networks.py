"""Recurrent networks, from the strategy file to the prediction, and the windows that they read."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy.strategy_examples import changed
from training_examples import (
    CPU,
    TRIPLE_BARRIER,
    Recorder,
    Token,
    make_recurrent,
    make_specification,
    make_strategy,
    make_training,
    random_walk,
    reader,
)

from ktrdr.training import run
from ktrdr.training.dataset import Dataset, Part, SymbolSamples, network_inputs
from ktrdr.training.determinism import make_deterministic
from ktrdr.training.features import Features
from ktrdr.training.models import build_network, outputs_of, window_length
from ktrdr.training.normalization import Scaling
from ktrdr.training.pipeline import TrainingPipeline
from ktrdr.training.progress import TrainingFailedError
from ktrdr.training.saved_model import load
from ktrdr.training.split import Split
from ktrdr.training.strategy.mapping import to_mapping
from ktrdr.training.strategy.model import Labels, Model, Recurrent, Strategy
from ktrdr.training.strategy.parse import from_mapping
from ktrdr.training.weights import as_one_vector, weights_digest
from ktrdr.training.windows import Windows, concatenate, rows_with_window, samples_with_window

RECURRENT = ("lstm", "gru")
LENGTH = 8
FRAMES = {"AAA": random_walk(500, seed=1), "BBB": random_walk(400, seed=2, start="2021-03-01")}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    make_deterministic()


def recurrent_strategy(kind: str = "lstm", *, length: int = LENGTH, **of_strategy: Any) -> Strategy:
    return make_recurrent(make_strategy(**of_strategy), kind, sequence_length=length)


def gathered(windows: Windows) -> torch.Tensor:
    return torch.cat(list(windows.split(7)))


# --- the strategy file ---


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_recurrent_network_is_read_from_the_file_and_written_back(kind: str) -> None:
    architecture = {"sequence_length": 30, "hidden_size": 16, "num_layers": 1, "dropout": 0.1}
    parsed = from_mapping(changed({"model": {"type": kind.upper(), "architecture": architecture}}))
    assert parsed.warnings == ()
    assert (parsed.strategy.model.type, parsed.strategy.model.architecture) == (kind, Recurrent(**architecture))
    again = from_mapping(to_mapping(parsed.strategy))
    assert (again.strategy, again.warnings) == (parsed.strategy, ())


def test_a_recurrent_network_has_the_defaults_of_the_format() -> None:
    architecture = from_mapping(changed({"model": {"type": "gru"}})).strategy.model.architecture
    assert architecture == Recurrent(sequence_length=20, hidden_size=64, num_layers=2, dropout=0.2)


def test_the_keys_of_another_type_have_no_effect_and_are_reported() -> None:
    model = {"type": "lstm", "activation": "relu", "architecture": {"hidden_layers": [8], "hidden_size": 8}}
    parsed = from_mapping(changed({"model": model}))
    assert [str(warning) for warning in parsed.warnings] == [
        "model.activation: 'activation' has no effect with type 'lstm'",
        "model.architecture.hidden_layers: 'hidden_layers' has no effect with type 'lstm'",
    ]
    beside = from_mapping(changed({"model.sequence_length": 9}))  # The valid strategy has an mlp.
    assert [str(warning) for warning in beside.warnings] == [
        "model.sequence_length: 'sequence_length' has no effect with type 'mlp'"
    ]


# --- windows ---


def features_with_gaps(missing: list[int], count: int = 60) -> Features:
    """Two columns; the first one counts the bars, and lacks some."""
    numbers = np.arange(count, dtype=float)
    numbers[missing] = np.nan
    times = pd.date_range("2020-01-01", periods=count, freq="h", tz="UTC")
    return Features(times, (numbers, np.arange(count) * -1.0))


NO_SCALING = (Scaling(method="none", offset=0.0, scale=1.0),) * 2


@settings(max_examples=60, deadline=None)
@given(
    missing=st.lists(st.integers(0, 59), max_size=6),
    unlabelled=st.lists(st.integers(0, 59), max_size=20),
    length=st.integers(1, 12),
    cut=st.tuples(st.integers(5, 30), st.integers(31, 55)),
)
def test_windows_are_what_a_loop_over_the_bars_finds(
    missing: list[int], unlabelled: list[int], length: int, cut: tuple[int, int]
) -> None:
    features = features_with_gaps(missing)
    complete = set(features.complete_rows().tolist())
    rows = np.array(sorted(complete - set(unlabelled)), dtype=np.int64)
    parts = [rows[rows < cut[0]], rows[(rows >= cut[0]) & (rows < cut[1])], rows[rows >= cut[1]]]
    split = samples_with_window(Split(*parts, 3), features.complete_rows(), length)
    kept = 0
    for before, after in zip(parts, (split.train, split.validation, split.test), strict=True):
        expected = [
            row
            for row in before.tolist()
            if row - length + 1 >= before[0] and all(r in complete for r in range(row - length + 1, row + 1))
        ]
        assert after.tolist() == expected
        kept += len(expected)
        windows = network_inputs(features, after, NO_SCALING, length)
        assert windows.shape == (len(expected), length, 2)
        for row, window in zip(expected, gathered(windows), strict=True):
            numbers = list(range(row - length + 1, row + 1))
            assert window[:, 0].tolist() == numbers
            assert window[:, 1].tolist() == [-number for number in numbers]
    assert split.left_out == 3 + len(rows) - kept


def test_windows_of_two_symbols_never_mix() -> None:
    first, second = (Windows(torch.arange(10.0).unsqueeze(1) + offset, torch.tensor([3, 9]), 4) for offset in (0, 100))
    both = gathered(concatenate([first, second])).squeeze(2)
    assert both.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9], [100, 101, 102, 103], [106, 107, 108, 109]]


def test_windows_are_chosen_in_any_order_and_cut_into_batches() -> None:
    windows = Windows(torch.arange(10.0).unsqueeze(1), torch.tensor([2, 3, 9]), 3)
    assert gathered(windows[torch.tensor([2, 0, 2])])[:, -1, 0].tolist() == [9, 2, 9]
    assert [len(batch) for batch in windows.split(2)] == [2, 1]
    assert (len(windows), windows.shape) == (3, (3, 3, 1))


# --- parts ---


def prepared(strategy: Strategy, frames: dict[str, pd.DataFrame] = FRAMES) -> tuple[dict[str, SymbolSamples], Dataset]:
    pipeline = TrainingPipeline(make_specification(strategy), CPU)
    prices = pipeline.load_price_data(reader(frames))
    indicators = pipeline.calculate_indicators(prices)
    features = pipeline.engineer_features(prices, indicators, pipeline.generate_fuzzy_memberships(indicators))
    samples = pipeline.combine_multi_symbol_data(features, pipeline.generate_labels(prices))
    return samples, pipeline.split_data(samples)


def parts_of(dataset: Dataset) -> tuple[Part, Part, Part]:
    return dataset.train, dataset.validation, dataset.test


def test_each_window_holds_the_consecutive_bars_up_to_its_sample() -> None:
    samples, dataset = prepared(recurrent_strategy(symbols=("AAA", "BBB")))
    column = dataset.feature_names.index("1h_rsi_neutral")
    for part in parts_of(dataset):
        windows = gathered(part.features)
        assert windows.shape == (len(part), LENGTH, 6)
        assert len(part.times) == len(part.closes) == len(part.targets) == len(part)
        for symbol, rows in part.symbols.items():
            own = samples[symbol]
            places = own.features.times.get_indexer(pd.DatetimeIndex(part.times[rows], tz="UTC"))
            assert (FRAMES[symbol]["close"].to_numpy()[places] == part.closes[rows]).all()
            expected = own.features.columns[column][places[:, None] + np.arange(1 - LENGTH, 1)]
            np.testing.assert_allclose(windows[rows][:, :, column], expected, atol=1e-6)
            # The first window begins with the first bar that was a sample of the part.
            assert places[0] - LENGTH + 1 >= own.rows[0]


def test_no_window_reaches_into_the_part_before() -> None:
    samples, dataset = prepared(recurrent_strategy())
    _, plain = prepared(make_strategy())
    times = samples["AAA"].features.times
    for part, without_windows in zip(parts_of(dataset), parts_of(plain), strict=True):
        begins = times[times.get_loc(part.first) - LENGTH + 1]
        assert begins == without_windows.first
        assert part.last == without_windows.last
    assert dataset.left_out == plain.left_out + 3 * (LENGTH - 1)


def test_windows_begin_at_the_start_date_although_earlier_bars_are_known() -> None:
    start = FRAMES["AAA"].index[150]
    _, dataset = prepared(recurrent_strategy(start=start.to_pydatetime(), history_required=100))
    assert dataset.train.first == start + pd.Timedelta(hours=LENGTH - 1)


def test_bars_without_a_label_are_part_of_windows_and_end_none() -> None:
    """The last bars before an end of the data have no label; here, every third bar has none."""
    strategy = recurrent_strategy()
    samples, _ = prepared(strategy)
    of = samples["AAA"]
    sparse = replace(of, rows=of.rows[::3])
    dataset = TrainingPipeline(make_specification(strategy), CPU).split_data({"AAA": sparse})
    places = of.features.times.get_indexer(pd.DatetimeIndex(dataset.train.times, tz="UTC"))
    assert set(np.diff(places)) == {3}
    windows = gathered(dataset.train.features)
    assert torch.equal(windows[0, 3:], windows[1, :-3])  # Three bars later, over bars that all are there.


def test_a_sequence_that_no_part_can_hold_is_a_failure_that_names_it() -> None:
    with pytest.raises(TrainingFailedError, match="none is left for the") as failure:
        prepared(recurrent_strategy(length=100))
    assert failure.value.kind == "no_samples"
    assert "model.architecture.sequence_length below 100" in failure.value.fix


# --- networks ---


def small(kind: str, **changes: Any) -> Model:
    architecture = {"sequence_length": 5, "hidden_size": 6, "num_layers": 2, "dropout": 0.3}
    return Model(type=kind, architecture=Recurrent(**architecture | changes))


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_recurrent_network_answers_from_its_last_hidden_state(kind: str, layers: int) -> None:
    model = small(kind, num_layers=layers)
    network = build_network(model, inputs=4, outputs=3).eval()
    windows = torch.randn(7, 5, 4)
    state = network.state_dict()
    own = (torch.nn.LSTM if kind == "lstm" else torch.nn.GRU)(4, 6, layers, batch_first=True)
    own.load_state_dict({name.split(".", 2)[2]: value for name, value in state.items() if "recurrent" in name})
    expected = own(windows)[0][:, -1] @ state["2.weight"].t() + state["2.bias"]
    torch.testing.assert_close(network(windows), expected)
    assert window_length(model) == 5


@pytest.mark.parametrize("kind", RECURRENT)
def test_outputs_do_not_depend_on_how_many_samples_go_through_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build_network(small(kind), inputs=1, outputs=3)
    windows = Windows(torch.randn(50, 1), torch.arange(4, 50), 5)
    whole = outputs_of(network, windows)
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr("ktrdr.training.models._ROWS_AT_ONCE", 40)
    torch.testing.assert_close(outputs_of(network, windows), whole)
    assert sizes == [8] * 5 + [6]  # 8 windows of 5 rows are 40 rows.
    assert outputs_of(network, windows[:0]).shape == (0, 3)


@pytest.mark.parametrize("kind", RECURRENT)
def test_the_weights_of_a_recurrent_network_become_one_vector_and_can_be_copied(kind: str) -> None:
    network = build_network(small(kind), inputs=4, outputs=3).eval()
    windows = torch.randn(3, 5, 4)
    before, digest = network(windows), weights_digest(network.state_dict())
    vector = as_one_vector(network)
    assert weights_digest(network.state_dict()) == digest
    torch.testing.assert_close(network(windows), before)
    network(windows).sum().backward()
    assert vector.gradient.abs().sum() > 0
    twin = copy.deepcopy(network)
    vector.weights.data.zero_()
    assert (network(windows) == 0).all()
    torch.testing.assert_close(twin(windows), before)


# --- trained and asked ---


@pytest.fixture(scope="module", params=RECURRENT)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Recorder]:
    recorder = Recorder()
    directory = tmp_path_factory.mktemp("models") / "model"
    labels = Labels(source="triple_barrier", params=TRIPLE_BARRIER | {"compute_weights": True})
    strategy = recurrent_strategy(request.param, symbols=("AAA", "BBB"), training=make_training(labels=labels))
    result = run.train(
        make_specification(strategy),
        read_prices=reader(FRAMES),
        output=directory,
        capabilities=CPU,
        progress_callback=recorder,
        cancellation_token=Token(),
    )
    return directory, result, recorder


def test_a_recurrent_network_trains_with_weighted_samples_of_several_symbols(
    trained: tuple[Path, Any, Recorder],
) -> None:
    directory, result, _ = trained
    assert weights_digest(load(directory).network.state_dict()) == result.weights_digest
    assert set(result.per_symbol_metrics) == {"AAA", "BBB"}


def test_a_recurrent_network_predicts_each_bar_with_a_full_window(trained: tuple[Path, Any, Recorder]) -> None:
    directory, _, _ = trained
    model = load(directory)
    predicted = model.predict(FRAMES["AAA"])
    assert predicted.index.equals(FRAMES["AAA"].index[33 + LENGTH - 1 :])
    early = model.predict(FRAMES["AAA"].iloc[:200])
    columns = ["buy", "hold", "sell"]
    np.testing.assert_allclose(early[columns], predicted.loc[early.index, columns], rtol=1e-5)
    assert len(model.predict(FRAMES["AAA"].iloc[: 33 + LENGTH])) == 1
    assert model.predict(FRAMES["AAA"].iloc[: 33 + LENGTH - 1]).empty
    assert model.predict(FRAMES["AAA"].iloc[:20]).columns.equals(predicted.columns)


def test_rows_with_a_window_of_one_row_are_all_rows() -> None:
    rows = np.array([2, 5, 6])
    assert rows_with_window(rows, np.array([1, 2, 5, 6]), 1).tolist() == [2, 5, 6]
    assert rows_with_window(rows[:0], rows[:0], 4).tolist() == []
