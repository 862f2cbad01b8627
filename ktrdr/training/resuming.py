"""Where a training begins: at the best checkpoint that can be used, or at the start. Imports torch only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ktrdr.training.checkpoint import Checkpoint, CheckpointError
from ktrdr.training.progress import Resumed, TrainingFailedError
from ktrdr.training.training_state import TrainingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A checkpoint that a training may go on from."""

    epoch: int
    #: SHA-256 of its file.
    digest: str
    #: Reads it. Raises `CheckpointError`.
    read: Callable[[], Checkpoint]
    #: It is of another training, which this one goes on from with changes.
    is_fork: bool = False


def fork_of(origins: Sequence[Origin]) -> str | None:
    """The digest of the checkpoint of another training, if this one goes on from one: part of what it is."""
    return next((origin.digest for origin in origins if origin.is_fork), None)


def begin(state: TrainingState, origins: Sequence[Origin]) -> Resumed:
    """Brings the state to the first of the origins, the best first, that can be used; those before it are passed over.

    Raises `TrainingFailedError` if the training is a fork and there is nothing left to fork from (`fork_origin_lost`)
    or its weights do not fit (`fork_does_not_fit`): without them it would be another training.
    """
    passed_over: list[dict[str, object]] = []
    for origin in origins:
        try:
            checkpoint = origin.read()
            if origin.is_fork:
                state.fork(checkpoint)
            else:
                state.restore(checkpoint)
        except CheckpointError as error:
            if origin.is_fork:
                raise TrainingFailedError(
                    "fork_origin_lost",
                    f"the checkpoint of epoch {origin.epoch} that this training goes on from cannot be used: {error}",
                    where="train_model",
                    fix="fork from another epoch",
                ) from error
            passed_over.append({"epoch": origin.epoch, "digest": origin.digest, "problem": str(error)})
        else:
            return Resumed(epoch=origin.epoch, digest=origin.digest, passed_over=tuple(passed_over))
    return Resumed(epoch=0, digest=None, passed_over=tuple(passed_over))
