from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
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
from ktrdr.training.determinism import numeric_profile
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


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
import test_run
symbols = ("AAA", "BBB")
result = test_run.train(Path(sys.argv[1]), test_run.make_strategy(symbols=symbols))
print(result.weights_digest, result.model_digest)
"""


def test_two_processes_train_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    program = PROGRAM.format(path=[str(Path(__file__).parent)])
    commands = [[sys.executable, "-c", program, str(tmp_path / name)] for name in "ab"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    outputs = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    here = train(tmp_path / "here", make_strategy(symbols=("AAA", "BBB")))
    assert [here.weights_digest, here.model_digest] == outputs[0]
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("a", "b", "here")]
    assert files[0] == files[1] == files[2]
    other = train(tmp_path / "other", make_strategy(symbols=("AAA", "BBB")), seed=8)
    assert other.weights_digest != here.weights_digest


def test_a_training_before_does_not_change_the_next_one(tmp_path: Path) -> None:
    first = train(tmp_path / "first", make_strategy())
    train(tmp_path / "other", make_strategy(), seed=1234)
    torch.rand(17)
    assert train(tmp_path / "again", make_strategy()) == first


def test_a_training_uses_one_thread_and_deterministic_algorithms(tmp_path: Path) -> None:
    train(tmp_path / "model", make_strategy())
    profile = numeric_profile()
    assert profile["threads"] == 1
    assert profile["deterministic_algorithms"] is True
    assert json.loads(json.dumps(profile)) == profile
    assert all(profile[name] for name in ("torch", "numpy", "python", "cpu_capability", "mkl", "onednn", "glibc"))


def test_the_profile_holds_the_environment_that_steers_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    environment = numeric_profile()["environment"]
    assert isinstance(environment, dict)
    assert environment["MKL_CBWR"] == "COMPATIBLE"
    assert "SECRET_TOKEN" not in environment


def test_prices_are_not_changed(tmp_path: Path) -> None:
    before = {symbol: frame.copy() for symbol, frame in FRAMES.items()}
    train(tmp_path / "model", make_strategy(symbols=("AAA", "BBB")))
    for symbol, frame in FRAMES.items():
        pd.testing.assert_frame_equal(frame, before[symbol])
