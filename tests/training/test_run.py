from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from training_examples import (
    CPU,
    TRIPLE_BARRIER,
    Recorder,
    Token,
    make_specification,
    make_strategy,
    make_training,
    random_walk,
    reader,
)

from ktrdr.training import run
from ktrdr.training.pipeline import TrainingPipeline
from ktrdr.training.progress import (
    BatchFinished,
    EpochFinished,
    StageFinished,
    StageStarted,
    TrainingCancelledError,
    TrainingFailedError,
)
from ktrdr.training.strategy.model import EarlyStopping, Labels, Loss, Optimizer, Strategy

FRAMES = {"AAA": random_walk(500, seed=1), "BBB": random_walk(400, seed=2)}


def train(
    output: Path, strategy: Strategy, *, recorder: Recorder | None = None, token: Token | None = None, seed: int = 7
) -> run.TrainingResult:
    return run.train(
        make_specification(strategy, seed=seed),
        read_prices=reader(FRAMES),
        output=output,
        capabilities=CPU,
        progress_callback=recorder or Recorder(),
        cancellation_token=token or Token(),
    )


def test_the_stages_are_the_steps_of_the_pipeline_in_order(tmp_path: Path) -> None:
    recorder = Recorder()
    train(tmp_path / "model", make_strategy(), recorder=recorder)
    assert [(event.name, event.number, event.total) for event in recorder.of(StageStarted)] == [
        (name, number, 11) for number, name in enumerate(run.STAGES, 1)
    ]
    assert [event.name for event in recorder.of(StageFinished)] == list(run.STAGES)
    assert all(callable(getattr(TrainingPipeline, name)) for name in run.STAGES)
    kinds = [type(event) for event in recorder.events]
    first_batch = kinds.index(BatchFinished)
    assert recorder.events[first_batch - 1] == StageStarted(name="train_model", number=9, total=11)


def test_every_fact_is_plain_json_and_says_something(tmp_path: Path) -> None:
    recorder = Recorder()
    result = train(tmp_path / "model", make_strategy(symbols=("AAA", "BBB")), recorder=recorder)
    facts = {event.name: event.facts for event in recorder.of(StageFinished)}
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert all(facts.values())
    assert facts["load_price_data"]["series"][1] == {
        "symbol": "BBB",
        "timeframe": "1h",
        "digest": "0" * 64,
        "bars": 400,
        "first": "2020-01-01T00:00:00+00:00",
        "last": "2020-01-17T15:00:00+00:00",
    }
    assert sum(facts["generate_labels"]["classes"]["AAA"].values()) == 500
    assert facts["combine_multi_symbol_data"]["samples"] == {"AAA": 467, "BBB": 367}
    parts = facts["split_data"]
    assert sum(parts[name]["samples"] for name in ("train", "validation", "test")) + parts["left_out"] == 467 + 367
    assert facts["create_model"] == {"parameters": 6 * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3}
    assert facts["save_model"]["model_digest"] == result.model_digest


def test_the_result_says_what_was_trained(tmp_path: Path) -> None:
    stopping = EarlyStopping(patience=2, min_delta=1e6, monitor="val_loss")
    recorder = Recorder()
    strategy = make_strategy(symbols=("AAA", "BBB"), training=make_training(epochs=9, early_stopping=stopping))
    result = train(tmp_path / "model", strategy, recorder=recorder)
    epochs = recorder.of(EpochFinished)
    assert result.epochs_trained == len(epochs) == 3
    assert result.weights_digest == epochs[result.best_epoch - 1].weights_digest
    assert set(result.per_symbol_metrics) == {"AAA", "BBB"}
    assert sum(m["samples"] for m in result.per_symbol_metrics.values()) == result.metrics["samples"]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": Labels(source="triple_barrier", params=TRIPLE_BARRIER | {"compute_weights": True})},
        {
            "labels": Labels(source="forward_return", params={"horizon": 5}),
            "loss": Loss(type="huber", huber_delta=0.01),
            "class_weights": "none",
        },
        {"loss": Loss(type="focal", focal_gamma=2.0), "class_weights": "none"},
    ],
    ids=["triple_barrier", "regression", "focal"],
)
def test_every_kind_of_label_and_loss_gives_a_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    train(tmp_path / "model", make_strategy(symbols=("AAA", "BBB"), training=make_training(**changes)))
    assert (tmp_path / "model" / "weights.safetensors").is_file()


@pytest.mark.parametrize("stage", range(1, 12))
def test_cancelling_stops_before_the_next_stage_and_saves_nothing(tmp_path: Path, stage: int) -> None:
    recorder = Recorder()
    # The training itself looks before each batch: 326 samples a epoch in batches of 32, three epochs.
    batches = 3 * 10 if stage > 9 else 0
    with pytest.raises(TrainingCancelledError):
        train(tmp_path / "model", make_strategy(), recorder=recorder, token=Token(stop_at=stage + batches))
    assert len(recorder.of(StageStarted)) == len(recorder.of(StageFinished)) == stage - 1
    assert list(tmp_path.iterdir()) == []


def test_cancelling_during_the_training_saves_nothing(tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(TrainingCancelledError):
        train(tmp_path / "model", make_strategy(), recorder=recorder, token=Token(stop_at=9 + 14))
    assert len(recorder.of(BatchFinished)) == 13
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_fails_saves_nothing(tmp_path: Path) -> None:
    wild = Optimizer(type="sgd", learning_rate=1e38, weight_decay=1.0, momentum=0.9)
    with pytest.raises(TrainingFailedError, match="became") as failure:
        train(tmp_path / "model", make_strategy(training=make_training(optimizer=wild)))
    assert failure.value.kind == "loss_not_finite"
    assert list(tmp_path.iterdir()) == []


def test_prices_are_not_changed(tmp_path: Path) -> None:
    before = {symbol: frame.copy() for symbol, frame in FRAMES.items()}
    train(tmp_path / "model", make_strategy(symbols=("AAA", "BBB")))
    for symbol, frame in FRAMES.items():
        pd.testing.assert_frame_equal(frame, before[symbol])
