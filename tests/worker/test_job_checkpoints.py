"""Inside the job process: when a checkpoint is written, what happens when it cannot be, and how it is read again."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import torch

from ktrdr.training.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from ktrdr.training.optimization import LearningRate
from ktrdr.training.progress import EpochFinished
from ktrdr.worker.checkpoints import CheckpointKeeper, origins_of
from ktrdr.worker.messages import CheckpointWritten, Train


def order(folder: Path, *, every_epochs: int | None = None, every_seconds: float | None = None) -> Train:
    return Train(
        job_id="j",
        strategy={},
        prices=(),
        context=(),
        seed=0,
        price_folder=folder,
        output=folder / "model",
        checkpoints=({"epoch": 3, "digest": "a" * 64}, {"epoch": 2, "digest": "b" * 64}),
        fork_digest="b" * 64,
        checkpoint_folder=folder,
        drop_folder=folder / "drop",
        every_epochs=every_epochs,
        every_seconds=every_seconds,
    )


def checkpoint(epoch: int) -> Checkpoint:
    finished = EpochFinished(
        epoch=epoch,
        epochs=9,
        train_loss=1.0,
        validation_loss=1.0,
        train_accuracy=None,
        validation_accuracy=None,
        learning_rate=0.1,
        seconds=0.1,
        weights_digest="",
        tensors="",
    )
    return Checkpoint(
        training="t",
        seed=0,
        layout={"w": "2"},
        history=(finished,) * epoch,
        weights=torch.tensor([1.0, float(epoch)]),
        optimizer={},
        learning_rate=LearningRate(0.1),
        best=None,
        generators={},
    )


def note(keeper: CheckpointKeeper, *epochs: int) -> None:
    for epoch in epochs:
        keeper.note(epoch, lambda epoch=epoch: checkpoint(epoch))


@pytest.mark.parametrize(
    ("every_epochs", "every_seconds", "due"),
    [(None, None, []), (2, None, [2, 4]), (None, 0.0, [1, 2, 3, 4, 5]), (None, 3600, []), (3, 3600, [3])],
)
def test_checkpoints_are_written_when_they_are_due(
    tmp_path: Path, every_epochs: int | None, every_seconds: float | None, due: list[int]
) -> None:
    told: list[CheckpointWritten] = []
    keeper = CheckpointKeeper(order(tmp_path, every_epochs=every_epochs, every_seconds=every_seconds), told.append)
    note(keeper, 1, 2, 3, 4, 5)
    assert [one.epoch for one in told] == due
    for one in told:
        data = one.file.read_bytes()
        assert (sha256(data).hexdigest(), len(data)) == (one.digest, one.bytes)
        assert read_checkpoint(one.file, one.digest).epoch == one.epoch


def test_a_training_that_stops_writes_its_last_epoch_once(tmp_path: Path) -> None:
    told: list[CheckpointWritten] = []
    keeper = CheckpointKeeper(order(tmp_path, every_epochs=2), told.append)
    keeper.write()
    note(keeper, 1, 2)
    keeper.write()
    note(keeper, 3)
    keeper.write()
    keeper.write()
    assert [one.epoch for one in told] == [2, 3]


def test_a_checkpoint_that_cannot_be_written_ends_nothing_and_is_tried_when_the_next_is_due(tmp_path: Path) -> None:
    told: list[CheckpointWritten] = []
    keeper = CheckpointKeeper(order(tmp_path, every_epochs=2), told.append)
    (tmp_path / "drop").write_text("a file where the folder should be")
    note(keeper, 1, 2, 3)
    assert told == []
    (tmp_path / "drop").unlink()
    note(keeper, 4)
    assert [one.epoch for one in told] == [4]


def test_what_an_attempt_may_go_on_from_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    told: list[CheckpointWritten] = []
    job = order(tmp_path, every_epochs=1)
    note(CheckpointKeeper(job, told.append), 1)
    (written,) = told
    with pytest.raises(CheckpointError, match="are not those that were saved"):
        read_checkpoint(written.file, "0" * 64)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path, written.digest)
    newest, fork = origins_of(job)
    assert (newest.epoch, newest.is_fork, fork.is_fork) == (3, False, True)
    with pytest.raises(CheckpointError, match="is missing"):
        newest.read()
