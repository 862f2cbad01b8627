"""A fresh process that trains once more: `python -m ktrdr.audit.rederivation.training_process DEVICE`.

Imports training, canonical JSON and files; it knows no log and no job. The first line that it writes says what it
computes with; then it reads one line, the order, and writes a line for each stage, each epoch and the end: all of it
JSON. Whoever started it has set the environment that steers the numeric libraries, which must be there first.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from ktrdr.files import write_whole
from ktrdr.jobs.canonical import dumps
from ktrdr.orphans import end_with_parent
from ktrdr.training.checkpoint import Checkpoint, read_checkpoint
from ktrdr.training.data_folder import DataFolder
from ktrdr.training.determinism import make_deterministic, numeric_profile
from ktrdr.training.device_manager import DeviceCapabilities, DeviceManager, accelerator_of
from ktrdr.training.progress import CancellationToken, EpochFinished, Progress, StageFinished, TrainingFailedError
from ktrdr.training.resuming import Origin
from ktrdr.training.run import train
from ktrdr.training.specification import specification_of

Say = Callable[[Mapping[str, Any]], None]


class Unstoppable(CancellationToken):
    """Nobody asks this training to stop: whoever has seen enough ends the process."""

    def is_cancellation_requested(self) -> bool:
        return False


def main() -> None:
    end_with_parent()
    own_output = _take_stdout()

    def say(message: Mapping[str, Any]) -> None:
        own_output.write(dumps(message) + "\n")
        own_output.flush()

    make_deterministic()
    device = DeviceManager(sys.argv[1]).capabilities().device
    say({"said": "Ready", "device": device, "profile": numeric_profile(accelerator_of(device))})
    if line := sys.stdin.readline():
        _train(json.loads(line), say)


def _take_stdout() -> TextIO:
    """The standard output for our lines alone: what libraries print goes to the errors."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _train(order: Mapping[str, Any], say: Say) -> None:
    """Trains what the order says (see `ktrdr.audit.rederivation.fresh_training.Order`) and says how it ended."""
    specification = specification_of(
        order["strategy"], prices=order["prices"], context=order["context"], seed=order["seed"]
    )
    data = DataFolder(specification, Path(order["price_folder"]))
    teller = _Teller(say, order["checkpoint"])
    try:
        result = train(
            specification,
            read_prices=data.read_prices,
            read_context=data.read_context,
            output=Path(order["output"]),
            capabilities=DeviceCapabilities(**order["capabilities"]),
            progress_callback=teller.tell,
            cancellation_token=Unstoppable(),
            origins=[_origin(**order["origin"])] if order["origin"] else [],
            checkpoint_callback=teller.note,
        )
    except TrainingFailedError as error:
        say({"said": "Failed", "kind": error.kind, "message": str(error)})
    except Exception as error:
        say({"said": "Broke", "message": f"{type(error).__name__}: {error}"})
        raise
    else:
        say({"said": "Trained", **asdict(result)})


def _origin(*, epoch: int, digest: str, file: str) -> Origin:
    """The checkpoint of another training that this one goes on from."""
    return Origin(epoch=epoch, digest=digest, read=lambda: read_checkpoint(Path(file), digest), is_fork=True)


class _Teller:
    """Tells stages and epochs; an epoch once its checkpoint can be had, which knows the names of the tensors."""

    def __init__(self, say: Say, wanted: Mapping[str, Any] | None) -> None:
        self._say = say
        #: The checkpoint that shall be written: `{epoch, file}`.
        self._wanted = wanted
        self._finished: EpochFinished | None = None
        self._names: list[str] | None = None

    def tell(self, progress: Progress) -> None:
        match progress:
            case StageFinished():
                self._say({"said": "StageFinished", "name": progress.name, "facts": progress.facts})
            case EpochFinished():
                self._finished = progress

    def note(self, epoch: int, take: Callable[[], Checkpoint]) -> None:
        assert self._finished is not None, "an epoch is told before its checkpoint is offered"
        if self._names is None:
            self._names = sorted(take().layout)
        self._say({"said": "EpochFinished", "names": self._names, **asdict(self._finished)})
        if self._wanted is not None and self._wanted["epoch"] == epoch:
            write_whole(Path(self._wanted["file"]), take().to_bytes())
            self._say({"said": "CheckpointWritten"})


if __name__ == "__main__":
    main()
