from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from training_examples import (
    CPU,
    Recorder,
    Token,
    make_specification,
    make_strategy,
    make_training,
    random_walk,
    reader,
)

from ktrdr.training import run
from ktrdr.training.decisions import decide_by_class, decide_by_forecast
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.model_directory import write_directory
from ktrdr.training.saved_model import SavedModelError, load
from ktrdr.training.strategy.model import CostModel, Labels, Loss, Optimizer, Strategy
from ktrdr.training.weights import weights_digest

FRAME = random_walk(500, seed=1)
FILES = {"weights.safetensors", "model.json", "metrics.json", "report.json", "SHA256SUMS"}


def train(output: Path, strategy: Strategy, *, recorder: Recorder | None = None) -> tuple[run.TrainingResult, Recorder]:
    recorder = recorder or Recorder()
    result = run.train(
        make_specification(strategy),
        read_prices=reader({"AAA": FRAME}),
        output=output,
        capabilities=CPU,
        progress_callback=recorder,
        cancellation_token=Token(),
    )
    return result, recorder


def classification() -> Strategy:
    eager = Optimizer(type="adam", learning_rate=0.01, weight_decay=0.0, momentum=0.0)
    strategy = make_strategy(training=make_training(epochs=8, optimizer=eager))
    return replace(strategy, decisions=replace(strategy.decisions, confidence_threshold=0.45))


def regression() -> Strategy:
    labels = Labels(source="forward_return", params={"horizon": 5})
    training = make_training(labels=labels, loss=Loss(type="huber", huber_delta=0.01), class_weights="none")
    return make_strategy(training=training)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, run.TrainingResult, Recorder]:
    directory = tmp_path_factory.mktemp("models") / "model"
    return directory, *train(directory, classification())


@pytest.fixture
def copied(trained: tuple[Path, run.TrainingResult, Recorder], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))


def test_sha256sum_proves_the_files_and_the_digest(trained: tuple[Path, run.TrainingResult, Recorder]) -> None:
    directory, result, _ = trained
    assert {file.name for file in directory.iterdir()} == FILES
    checked = subprocess.check_output(["sha256sum", "-c", "SHA256SUMS"], cwd=directory, text=True)
    assert checked == "metrics.json: OK\nmodel.json: OK\nreport.json: OK\nweights.safetensors: OK\n"
    summed = subprocess.check_output(["sha256sum", "SHA256SUMS"], cwd=directory, text=True)
    assert summed.split()[0] == result.model_digest


def test_a_loaded_model_is_what_was_trained(trained: tuple[Path, run.TrainingResult, Recorder]) -> None:
    directory, result, _ = trained
    model = load(directory, expected_digest=result.model_digest)
    assert model.strategy == classification()
    assert model.prices == make_specification(classification()).prices
    assert (model.seed, model.classes, model.digest) == (7, ("buy", "hold", "sell"), result.model_digest)
    assert weights_digest(model.network.state_dict()) == result.weights_digest
    assert model.metrics["test"] == result.metrics
    assert len(model.metrics["history"]) == result.epochs_trained
    assert [s.method for s in model.scalings] == ["none", "none", "none", "zscore", "none", "none"]


def test_nothing_in_a_model_depends_on_when_or_where_it_was_trained(
    trained: tuple[Path, run.TrainingResult, Recorder], tmp_path: Path
) -> None:
    again, _ = train(tmp_path / "elsewhere", classification())
    assert again.model_digest == trained[1].model_digest
    metrics = json.loads((trained[0] / "metrics.json").read_text())
    assert not any("seconds" in epoch for epoch in metrics["history"])


def test_predictions_are_those_that_were_evaluated(trained: tuple[Path, run.TrainingResult, Recorder]) -> None:
    directory, result, recorder = trained
    predicted = load(directory).predict(FRAME)
    facts = {event.name: event.facts for event in recorder.of(run.StageFinished)}
    first = pd.Timestamp(facts["split_data"]["test"]["first"])
    test = predicted[predicted.index >= first]
    assert len(test) == result.metrics["samples"]
    chosen = test[["buy", "hold", "sell"]].to_numpy().argmax(axis=1)
    confusion = np.array(result.metrics["confusion_matrix"])
    assert np.bincount(chosen, minlength=3).tolist() == confusion.sum(axis=0).tolist()
    assert len(set(chosen)) > 1


def test_a_prediction_has_a_row_for_each_bar_after_the_warm_up(
    trained: tuple[Path, run.TrainingResult, Recorder],
) -> None:
    model = load(trained[0])
    predicted = model.predict(FRAME)
    assert predicted.columns.tolist() == ["buy", "hold", "sell", "decision", "position"]
    assert predicted.index.equals(FRAME.index[33:])
    np.testing.assert_allclose(predicted[["buy", "hold", "sell"]].sum(axis=1), 1.0)
    pd.testing.assert_frame_equal(model.predict({"1h": FRAME}), predicted)
    assert set(predicted["decision"]) > {"hold"}
    unsure = predicted[predicted[["buy", "sell"]].max(axis=1) < 0.45]
    assert set(unsure["decision"]) == {"hold"}


def test_a_prediction_does_not_change_when_later_bars_arrive(
    trained: tuple[Path, run.TrainingResult, Recorder],
) -> None:
    model = load(trained[0])
    whole, early = model.predict(FRAME), model.predict(FRAME.iloc[:200])
    columns = ["buy", "hold", "sell"]
    np.testing.assert_allclose(early[columns], whole.loc[early.index, columns], rtol=1e-6)


def test_too_few_bars_give_an_empty_prediction(trained: tuple[Path, run.TrainingResult, Recorder]) -> None:
    predicted = load(trained[0]).predict(FRAME.iloc[:20])
    assert predicted.empty
    assert predicted.columns.tolist() == ["buy", "hold", "sell", "decision", "position"]


def test_a_frame_that_is_none_is_refused(trained: tuple[Path, run.TrainingResult, Recorder]) -> None:
    with pytest.raises(InvalidInputError):
        load(trained[0]).predict(FRAME.iloc[::-1])


def test_a_regression_predicts_returns_and_decides_by_their_cost(tmp_path: Path) -> None:
    train(tmp_path / "model", regression())
    predicted = load(tmp_path / "model").predict(FRAME)
    assert predicted.columns.tolist() == ["forecast", "decision", "position"]
    expected = ["buy" if f > 0.0015 else "sell" if f < -0.0015 else "hold" for f in predicted["forecast"]]
    assert predicted["decision"].tolist() == expected
    # Only a buy opens a position and only a sell closes it, four hours apart at the least.
    assert set(predicted["position"]) == {"flat", "long"}
    changed = predicted[predicted["position"] != predicted["position"].shift(fill_value="flat")]
    assert (changed["decision"] == changed["position"].map({"long": "buy", "flat": "sell"})).all()
    assert (changed.index.to_series().diff().dropna() >= pd.Timedelta("4h")).all()


def test_a_class_is_chosen_only_with_enough_confidence() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.41, 0.49], [0.1, 0.2, 0.7]])
    assert decide_by_class(probabilities, ("buy", "hold", "sell"), 0.5).tolist() == ["buy", "hold", "sell"]


def test_a_forecast_must_pass_the_cost_times_the_edge() -> None:
    costs = CostModel(round_trip_cost=0.25, min_edge_multiplier=2.0)
    decided = decide_by_forecast(np.array([0.51, 0.5, 0.0, -0.5, -0.51]), costs)
    assert decided.tolist() == ["buy", "hold", "hold", "hold", "sell"]


# --- tampering ---


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_file_is_refused(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(SavedModelError, match=name):
        load(copied)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(SavedModelError, match=f"{name} is missing"):
        load(copied)


def test_an_extra_file_is_refused(copied: Path) -> None:
    (copied / "notes.txt").write_text("hello")
    with pytest.raises(SavedModelError, match=r"notes\.txt does not belong there"):
        load(copied)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SavedModelError, match="is missing"):
        load(tmp_path / "nothing")


def test_another_model_than_the_expected_one_is_refused(copied: Path) -> None:
    with pytest.raises(SavedModelError, match="not 0000"):
        load(copied, expected_digest="0" * 64)


def resigned(directory: Path, **changes: Any) -> Path:
    """Changes model.json and sums it up anew, as someone who knows the format would."""
    model = json.loads((directory / "model.json").read_text()) | changes
    (directory / "model.json").write_text(json.dumps(model))
    names = sorted(FILES - {"SHA256SUMS"})
    lines = [f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (directory / "SHA256SUMS").write_text("".join(lines))
    return directory


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "its format is 2"),
        ({"features": ["a", "b"]}, "its features are not those of its strategy"),
        ({"classes": ["up", "down"]}, "its classes are not those of its labels"),
        ({"normalization": []}, "its features"),
        ({"strategy": {"name": "x"}}, "version 3"),
        ({"prices": [{"symbol": "AAA"}]}, "no model that this version can read"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(copied: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SavedModelError, match=message):
        load(resigned(copied, **changes))


def test_weights_of_another_architecture_are_refused(copied: Path, tmp_path: Path) -> None:
    train(tmp_path / "other", regression())
    shutil.copy(tmp_path / "other" / "weights.safetensors", copied)
    with pytest.raises(SavedModelError, match="size mismatch"):
        load(resigned(copied))


def test_a_file_of_sums_with_a_foreign_line_is_refused(copied: Path) -> None:
    with (copied / "SHA256SUMS").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(SavedModelError, match="a line that is no sum"):
        load(copied)


# --- writing ---


def test_a_model_is_never_overwritten(copied: Path) -> None:
    before = load(copied).digest
    recorder = Recorder()
    with pytest.raises(FileExistsError):
        train(copied, classification(), recorder=recorder)
    assert recorder.events == []  # It says so before the work, not after it.
    assert load(copied).digest == before


def test_a_write_that_fails_leaves_no_model_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("ktrdr.training.model_directory.os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_directory(tmp_path / "model", {"a": b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_model_predicts_in_another_process_from_its_directory_alone(
    trained: tuple[Path, run.TrainingResult, Recorder], tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(trained[0], tmp_path / "moved"))
    FRAME.to_pickle(tmp_path / "frame")
    program = (
        "import sys, pathlib, pandas; from ktrdr.training.saved_model import load;"
        "print(load(pathlib.Path(sys.argv[1])).predict(pandas.read_pickle(sys.argv[2]))['buy'].sum())"
    )
    command = [sys.executable, "-c", program, str(moved), str(tmp_path / "frame")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(printed) == pytest.approx(load(trained[0]).predict(FRAME)["buy"].sum())
