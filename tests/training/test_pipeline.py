from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import torch
from training_examples import CPU, TRIPLE_BARRIER, make_specification, make_strategy, make_training, random_walk, reader

from ktrdr.training.dataset import Dataset, SymbolSamples
from ktrdr.training.pipeline import TrainingPipeline
from ktrdr.training.progress import TrainingFailedError
from ktrdr.training.specification import PriceReference
from ktrdr.training.strategy.model import Labels, ModelFeatures, Strategy


def make_pipeline(strategy: Strategy, *, seed: int = 7) -> TrainingPipeline:
    return TrainingPipeline(make_specification(strategy, seed=seed), CPU)


def samples_of(pipeline: TrainingPipeline, frames: dict[str, pd.DataFrame]) -> dict[str, SymbolSamples]:
    prices = pipeline.load_price_data(reader(frames))
    indicators = pipeline.calculate_indicators(prices)
    memberships = pipeline.generate_fuzzy_memberships(indicators)
    features = pipeline.engineer_features(prices, indicators, memberships)
    return pipeline.combine_multi_symbol_data(features, pipeline.generate_labels(prices))


def dataset_of(pipeline: TrainingPipeline, frames: dict[str, pd.DataFrame]) -> Dataset:
    return pipeline.split_data(samples_of(pipeline, frames))


def fails(kind: str) -> pytest.RaisesExc[TrainingFailedError]:
    def says_where_and_what_to_do(error: TrainingFailedError) -> bool:
        return error.kind == kind and bool(error.where and error.fix)

    return pytest.RaisesExc(TrainingFailedError, check=says_where_and_what_to_do)


# --- dates ---


def test_both_ends_of_the_date_range_are_included_after_the_bars_that_warm_up() -> None:
    frame = random_walk(500)
    start, end = frame.index[100].to_pydatetime(), frame.index[299].to_pydatetime()
    pipeline = make_pipeline(make_strategy(start=start, end=end, history_required=60))
    loaded = pipeline.load_price_data(reader({"AAA": frame}))["AAA"]["1h"]
    assert loaded.index.equals(frame.index[40:300])


def test_less_history_than_required_is_taken_as_it_is() -> None:
    frame = random_walk(500)
    pipeline = make_pipeline(make_strategy(start=frame.index[20].to_pydatetime(), history_required=60))
    assert len(pipeline.load_price_data(reader({"AAA": frame}))["AAA"]["1h"]) == 500


def test_bars_before_the_start_warm_up_and_are_no_samples() -> None:
    frame = random_walk(500)
    start = frame.index[100].to_pydatetime()
    samples = samples_of(make_pipeline(make_strategy(start=start, history_required=60)), {"AAA": frame})["AAA"]
    assert samples.features.times[samples.rows][0] == start


def test_without_a_start_the_warm_up_itself_is_left_out() -> None:
    samples = samples_of(make_pipeline(make_strategy()), {"AAA": random_walk(500)})["AAA"]
    assert samples.rows[0] == 33


def test_a_date_range_without_bars_is_a_failure_that_names_the_symbol() -> None:
    pipeline = make_pipeline(make_strategy(start=datetime(2030, 1, 1, tzinfo=UTC)))
    with fails("too_few_bars") as failure:
        pipeline.load_price_data(reader({"AAA": random_walk(500)}))
    assert "AAA" in str(failure.value)
    assert "2020-01-01" in failure.value.fix


def test_prices_that_are_no_price_frame_are_a_failure() -> None:
    with fails("price_data"):
        make_pipeline(make_strategy()).load_price_data(reader({"AAA": random_walk(50) * -1}))


def test_a_timeframe_without_prices_is_a_failure() -> None:
    specification = replace(make_specification(make_strategy()), prices=())
    with fails("price_data"):
        TrainingPipeline(specification, CPU).load_price_data(reader({}))


# --- samples ---


def test_a_symbol_with_too_few_bars_is_a_failure_that_names_it() -> None:
    pipeline = make_pipeline(make_strategy(symbols=("AAA", "BBB")))
    with fails("too_few_bars") as failure:
        samples_of(pipeline, {"AAA": random_walk(300), "BBB": random_walk(20)})
    assert failure.value.where == "combine_multi_symbol_data, BBB"


def test_a_part_without_samples_is_a_failure_that_names_it() -> None:
    long = make_training(labels=Labels(source="forward_return", params={"horizon": 400}))
    with fails("no_samples") as failure:
        dataset_of(make_pipeline(make_strategy(training=long)), {"AAA": random_walk(500)})
    assert "none is left for the" in str(failure.value)


def test_a_train_part_of_one_class_is_a_failure() -> None:
    flat = random_walk(500)
    flat[["open", "high", "low", "close"]] = 100.0
    labels = Labels(source="triple_barrier", params=TRIPLE_BARRIER)
    with fails("one_class") as failure:
        dataset_of(make_pipeline(make_strategy(training=make_training(labels=labels))), {"AAA": flat})
    assert "hold" in str(failure.value)


def test_features_and_labels_of_different_times_are_never_paired() -> None:
    pipeline = make_pipeline(make_strategy())
    prices = pipeline.load_price_data(reader({"AAA": random_walk(300)}))
    later = pipeline.load_price_data(reader({"AAA": random_walk(300, start="2021-01-01")}))
    indicators = pipeline.calculate_indicators(prices)
    features = pipeline.engineer_features(prices, indicators, pipeline.generate_fuzzy_memberships(indicators))
    with pytest.raises(ValueError, match="belong to different times"):
        pipeline.combine_multi_symbol_data(features, pipeline.generate_labels(later))


# --- parts ---


def test_each_symbol_is_labelled_and_split_by_itself_and_then_joined() -> None:
    frames = {"AAA": random_walk(400, seed=1), "BBB": random_walk(700, seed=2, start="2022-05-01")}
    together = dataset_of(make_pipeline(make_strategy(symbols=("AAA", "BBB"))), frames)
    for symbol, frame in frames.items():
        alone = dataset_of(make_pipeline(make_strategy(symbols=(symbol,))), {symbol: frame})
        for part, own in (
            (together.train, alone.train),
            (together.validation, alone.validation),
            (together.test, alone.test),
        ):
            rows = part.symbols[symbol]
            assert torch.equal(part.targets[rows], own.targets)
            assert torch.equal(part.features[rows][:, :3], own.features[:, :3])  # All but the normalised column.
    assert together.left_out > 0


def test_no_train_or_validation_label_depends_on_a_bar_of_the_next_part() -> None:
    for source in (
        Labels(source="zigzag", params={"zigzag_threshold": 0.02}),
        Labels(source="triple_barrier", params=TRIPLE_BARRIER),
    ):
        pipeline = make_pipeline(make_strategy(training=make_training(labels=source)))
        samples = samples_of(pipeline, {"AAA": random_walk(600)})["AAA"]
        dataset = pipeline.split_data({"AAA": samples})
        ends = dict(zip(samples.features.times, samples.labels.ends, strict=True))
        times = samples.features.times
        for part, following in ((dataset.train, dataset.validation), (dataset.validation, dataset.test)):
            last = times.get_loc(part.last)
            kept = samples.rows[(times[samples.rows] >= part.first) & (samples.rows <= last)][: len(part)]
            assert all(times[ends[times[row]]] < following.first for row in kept)


def test_normalisation_is_fitted_on_the_train_part_only() -> None:
    frame = random_walk(600)
    wild = frame.copy()
    wild.iloc[-100:, :4] *= np.linspace(1, 50, 100)[:, None]  # Only the test part moves in another world.
    calm_data, wild_data = (dataset_of(make_pipeline(make_strategy()), {"AAA": f}) for f in (frame, wild))
    assert calm_data.scalings == wild_data.scalings
    column = calm_data.feature_names.index("1h_atr_14_raw")
    values = calm_data.train.features[:, column].double()
    assert values.mean().item() == pytest.approx(0, abs=1e-6)
    assert values.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert wild_data.test.features[:, column].max() > 20


def test_a_lag_is_scaled_as_the_column_that_it_is_of() -> None:
    strategy = make_strategy()
    added = ModelFeatures(lookback_periods=2, include_price_context=True, scale_features=True)
    strategy = replace(strategy, model=replace(strategy.model, features=added))
    dataset = dataset_of(make_pipeline(strategy), {"AAA": random_walk(600)})
    scalings = dict(zip(dataset.feature_names, dataset.scalings, strict=True))
    names = [name for name in scalings if "_lag" not in name]
    assert len(scalings) == 3 * len(names)
    for name in names:
        assert scalings[f"{name}_lag1"] == scalings[f"{name}_lag2"] == scalings[name]
    assert scalings["1h_return"].method == "zscore"
    column = {name: dataset.train.features[:, place] for place, name in enumerate(dataset.feature_names)}
    assert torch.equal(column["1h_atr_14_raw_lag1"][1:], column["1h_atr_14_raw"][:-1])
    assert column["1h_return"].double().mean().item() == pytest.approx(0, abs=1e-6)


def test_sample_weights_have_mean_1_over_the_train_part() -> None:
    labels = Labels(source="triple_barrier", params=TRIPLE_BARRIER | {"compute_weights": True})
    dataset = dataset_of(make_pipeline(make_strategy(training=make_training(labels=labels))), {"AAA": random_walk(600)})
    assert dataset.train.weights is not None
    assert dataset.train.weights.mean().item() == pytest.approx(1)
    assert dataset.train.weights.std().item() > 0


# --- the model ---


def test_the_output_of_the_network_fits_the_labels() -> None:
    returns = make_training(labels=Labels(source="forward_return", params={"horizon": 5}))
    for training, outputs in ((make_training(), 3), (returns, 1)):
        pipeline = make_pipeline(make_strategy(training=training))
        dataset = dataset_of(pipeline, {"AAA": random_walk(300)})
        assert pipeline.create_model(dataset)(dataset.test.features).shape == (len(dataset.test), outputs)


def test_the_seed_of_the_strategy_wins_over_that_of_the_job() -> None:
    own = make_strategy(training=make_training(seed=99))
    assert (make_pipeline(own).seed, make_pipeline(make_strategy()).seed) == (99, 7)
    zero = make_strategy(training=make_training(seed=0))
    assert make_pipeline(zero).seed == 0


def test_new_weights_depend_on_the_seed_alone() -> None:
    dataset = dataset_of(make_pipeline(make_strategy()), {"AAA": random_walk(300)})
    first, again, other = (
        make_pipeline(make_strategy(), seed=seed).create_model(dataset).state_dict()["0.weight"] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_prices_are_read_once_for_each_reference() -> None:
    asked: list[PriceReference] = []

    def read(reference: PriceReference) -> pd.DataFrame:
        asked.append(reference)
        return random_walk(100)

    pipeline = make_pipeline(make_strategy(symbols=("AAA", "BBB")))
    pipeline.load_price_data(read)
    assert asked == list(pipeline.specification.prices)
