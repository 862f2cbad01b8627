"""Faults that an earlier implementation of this format is known to have (strategy-v3, section 9), and what proves that
ours does not have them: tests that are named here, and tests of whole trainings for what no other test covers."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from training_examples import CPU, Recorder, Token, random_walk

from ktrdr.training import run
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.progress import TrainingFailedError
from ktrdr.training.specification import PriceReference, Specification
from ktrdr.training.strategy.parse import from_mapping

#: Fault → the tests, as `module::test` below this folder, each of which would fail with it.
COVERED: dict[str, tuple[str, ...]] = {
    "features of longer timeframes joined so that most cells are zero": (
        "test_features.py::test_every_row_holds_the_values_that_were_known_when_its_bar_closed",
        "test_timeframes.py::test_a_row_sees_the_last_bar_that_closed_by_then",
    ),
    "daily values visible a day early": (
        "test_timeframes.py::test_a_daily_bar_is_not_visible_on_its_own_day",
        "test_look_ahead.py::test_a_day_is_seen_by_the_bar_that_ends_with_it_and_not_before",
        "test_look_ahead.py::test_a_resampled_day_is_seen_when_it_is_complete",
    ),
    "labels of the first symbol paired with features of another": (
        "test_pipeline.py::test_each_symbol_is_labelled_and_split_by_itself_and_then_joined",
        "test_pipeline.py::test_features_and_labels_of_different_times_are_never_paired",
    ),
    "normalisation named but never applied": (
        "test_pipeline.py::test_normalisation_is_fitted_on_the_train_part_only",
        "test_known_faults.py::test_every_key_that_shapes_a_training_changes_its_weights",
    ),
    "optimizer, scheduler, early stopping, clip and weight decay accepted and ignored": (
        "test_known_faults.py::test_every_key_that_shapes_a_training_changes_its_weights",
        "test_known_faults.py::test_early_stopping_ends_a_training_that_gains_nothing",
        "test_trainer.py::test_training_moves_as_torch_itself_would_move",
        "test_trainer.py::test_a_schedule_sets_the_rate_of_each_epoch",
    ),
    "date range accepted and ignored": (
        "test_pipeline.py::test_both_ends_of_the_date_range_are_included_after_the_bars_that_warm_up",
        "test_pipeline.py::test_bars_before_the_start_warm_up_and_are_no_samples",
        "test_known_faults.py::test_a_saved_model_says_what_it_is_made_of",
    ),
    "best weights that are the last ones": (
        "test_trainer.py::test_early_stopping_gives_back_a_true_copy_of_the_best_weights",
    ),
    "no seed": (
        "test_trainer.py::test_equal_seeds_give_equal_weights_and_others_do_not",
        "test_reproducibility.py::test_ten_processes_train_the_same_models_and_another_seed_others",
    ),
    "CUSUM labels shifted against features": (
        "test_label_events.py::test_only_events_have_a_label_and_it_is_that_of_their_own_bar",
    ),
    "regime labels shifted against features": (
        "test_label_regime.py::test_a_bar_before_an_outbreak_of_volatility_is_volatile",
        "test_label_regime.py::test_regime_agrees_with_its_definition",
    ),
    "crash for LSTM with sample weights": (
        "test_networks.py::test_a_recurrent_network_trains_with_weighted_samples_of_several_symbols",
        "test_strategy_files.py::test_a_file_trains_and_its_summary_tells_the_size_of_the_network",
    ),
    "crash when a class is absent in the train part": (
        "test_trainer.py::test_a_class_that_is_absent_from_the_train_part_does_no_harm",
        "test_losses.py::test_an_absent_class_has_the_weight_0_and_a_finite_loss",
    ),
    "failed or NaN training saved as a model": (
        "test_run.py::test_a_training_that_fails_saves_nothing",
        "test_trainer.py::test_a_loss_that_is_not_finite_ends_the_training_and_names_its_batch",
        "test_known_faults.py::test_a_training_that_explodes_leaves_no_model",
    ),
    "unknown keys dropped without a word": (
        "test_known_faults.py::test_an_unknown_key_anywhere_is_told",
        "strategy/test_schema.py::test_an_unknown_key_is_an_error_to_an_editor",
    ),
    "the saved model without data hash, seed, dates or test metrics": (
        "test_known_faults.py::test_a_saved_model_says_what_it_is_made_of",
    ),
}

FRAME = random_walk(700, seed=3)
DIGEST = "5" * 64

BASE: dict[str, Any] = {
    "name": "base",
    "training_data": {"symbols": {"symbol": "AAA"}, "timeframes": {"timeframe": "1h"}, "history_required": 50},
    "indicators": {"rsi_14": {"type": "rsi"}, "atr_14": {"type": "atr"}},
    "fuzzy_sets": {"rsi": {"indicator": "rsi_14", "low": [0, 25, 50], "high": [50, 75, 100]}},
    "nn_inputs": [
        {"fuzzy_set": "rsi", "timeframes": "all"},
        {"raw_indicator": "atr_14", "timeframes": "all", "normalization": "zscore"},
    ],
    "model": {"type": "mlp", "architecture": {"hidden_layers": [8]}},
    "training": {"epochs": 3, "seed": 1, "optimizer": "adam", "labels": {"source": "zigzag", "zigzag_threshold": 0.03}},
    "decisions": {"output_format": "classification"},
}


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    mapping = copy.deepcopy(BASE)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = mapping
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        place[last] = value
    return mapping


def train(changes: dict[str, Any], folder: Path) -> run.TrainingResult:
    specification = Specification(
        strategy=from_mapping(changed(changes), strict=True).strategy,
        prices=(PriceReference(symbol="AAA", timeframe="1h", digest=DIGEST),),
        seed=9,
    )
    return run.train(
        specification,
        read_prices=lambda reference: FRAME,
        output=folder,
        capabilities=CPU,
        progress_callback=Recorder(),
        cancellation_token=Token(),
    )


@pytest.fixture(scope="module")
def base_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return train({}, tmp_path_factory.mktemp("base") / "model").weights_digest


@pytest.mark.parametrize("fault", COVERED)
def test_every_test_that_is_named_is_there(fault: str) -> None:
    for named in COVERED[fault]:
        module, _, test = named.partition("::")
        assert re.search(rf"(?m)^def {test}\(", (Path(__file__).parent / module).read_text("utf-8")), named


@pytest.mark.parametrize(
    "changes",
    [
        {"training.epochs": 2},
        {"training.batch_size": 16},
        {"training.learning_rate": 0.002},
        {"training.optimizer": "adamw"},
        {"training.optimizer": "rmsprop"},
        {"training.optimizer": {"type": "sgd"}},
        {"training.optimizer": {"type": "adam", "learning_rate": 0.002}},
        {"training.weight_decay": 0.1},
        {"training.lr_scheduler": {"type": "step", "step_size": 1}},
        {"training.lr_scheduler": "exponential"},
        {"training.lr_scheduler": "cosine"},
        {"training.lr_scheduler": {"type": "reduce_on_plateau", "patience": 0, "factor": 0.01}, "training.epochs": 30},
        {"training.gradient_clip": 0.001},
        {"training.loss": "focal"},
        {"training.class_weights": "none"},
        {"training.seed": 2},
        {"training.data_split": {"train": 0.5, "validation": 0.25, "test": 0.25}},
        {"training.labels": {"source": "zigzag", "zigzag_threshold": 0.02}},
        {"training_data.date_range": {"start": "2020-01-08"}},
        {"training_data.date_range": {"end": "2020-01-22"}},
        {"nn_inputs.1.normalization": "minmax"},
        {"nn_inputs.1.normalization": "robust"},
        {"nn_inputs.1.normalization": "none"},
        {"model.architecture.dropout": 0.5},
        {"model.architecture.activation": "tanh"},
        {"model.features": {"lookback_periods": 1}},
        {"model.features": {"include_price_context": True}},
        {"model.features": {"include_price_context": True, "scale_features": True}},
        {"indicators.rsi_14.period": 7},
        {"fuzzy_sets.rsi.low": [0, 20, 50]},
    ],
    ids=str,
)
def test_every_key_that_shapes_a_training_changes_its_weights(
    changes: dict[str, Any], base_weights: str, tmp_path: Path
) -> None:
    reference = base_weights
    if "training.epochs" in changes and len(changes) > 1:
        reference = train({"training.epochs": changes["training.epochs"]}, tmp_path / "reference").weights_digest
    assert train(changes, tmp_path / "model").weights_digest != reference


def test_the_same_file_gives_the_same_weights(base_weights: str, tmp_path: Path) -> None:
    assert train({}, tmp_path / "model").weights_digest == base_weights


def test_early_stopping_ends_a_training_that_gains_nothing(tmp_path: Path) -> None:
    stopping = {"training.early_stopping": {"patience": 2, "min_delta": 100}, "training.epochs": 50}
    assert train(stopping, tmp_path / "model").epochs_trained == 3


def test_a_training_that_explodes_leaves_no_model(tmp_path: Path) -> None:
    exploding = {"training.optimizer": {"type": "sgd", "learning_rate": 10}, "training.gradient_clip": 0,
                 "nn_inputs.1.normalization": "none", "training.labels": {"source": "forward_return", "horizon": 5},
                 "training.loss": "mse", "training.epochs": 200, "decisions": {
                     "output_format": "regression", "cost_model": {"round_trip_cost": 0.1, "min_edge_multiplier": 1}},
                 "model.architecture": {"hidden_layers": [64, 64, 64]}}  # fmt: skip
    with pytest.raises(TrainingFailedError, match="the loss became"):
        train(exploding, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def _maps(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    own = [path] if isinstance(value, dict) else []
    return own + [deeper for key, child in children for deeper in _maps(child, (*path, key))]


@pytest.mark.parametrize("path", _maps(BASE), ids=lambda path: ".".join(map(str, path)) or "root")
def test_an_unknown_key_anywhere_is_told(path: tuple[Any, ...]) -> None:
    mapping = copy.deepcopy(BASE)
    place: Any = mapping
    for part in path:
        place = place[part]
    place["surely_unknown"] = 1
    try:
        told = from_mapping(mapping).warnings
    except InvalidInputError as error:  # where ids are free, it is a definition, and a wrong one
        told = error.faults
    assert any("surely_unknown" in fault.dotted for fault in told)


def test_a_saved_model_says_what_it_is_made_of(tmp_path: Path) -> None:
    train({"training_data.date_range": {"start": "2020-01-05", "end": "2020-01-25"}}, tmp_path / "model")
    model = json.loads((tmp_path / "model" / "model.json").read_text())
    assert [reference["digest"] for reference in model["prices"]] == [DIGEST]
    assert model["seed"] == 1
    assert model["parts"]["train"]["first"] >= "2020-01-05"
    assert "2020-01-24" < model["parts"]["test"]["last"] < "2020-01-26"
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert metrics["test"]["samples"] == model["parts"]["test"]["samples"]
    assert metrics["test_per_symbol"].keys() == {"AAA"}
