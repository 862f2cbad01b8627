"""Compares what a training says that is made again with what the log says of it, word by word. Imports jobs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ktrdr.audit.causes import MISSING, differences
from ktrdr.audit.rederivation.training_record import EpochRecord, TrainingRecord
from ktrdr.jobs.codec import event_data
from ktrdr.jobs.events import JobCompleted
from ktrdr.training.faults import dotted

#: What of an epoch is no property of the training.
_UNCOMPARED = ("seconds",)
#: The parts of a completion in the order in which they are made.
_RESULT = ("epochs_trained", "best_epoch", "weights_digest", "metrics", "symbol_metrics", "model_digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing that is not as it was recorded."""

    #: `epoch 3`, `stage split_data`, `the model` or `the end`.
    where: str
    epoch: int | None = None
    #: The name of the tensor, where weights differ and the log says of each what it was.
    tensor: str | None = None
    #: What differs there: `train_loss`, `facts.train.samples`.
    what: str
    #: Plain data; None where there is no such thing.
    recorded: Any
    found: Any
    #: Other words of the log for the same epoch, if it contradicts itself.
    contradiction: str = ""

    def __str__(self) -> str:
        what = f"tensor {self.tensor}" if self.tensor else self.what
        told = f"{self.where}, {what}: recorded {_shown(self.recorded)}, found {_shown(self.found)}"
        return f"{told} ({self.contradiction})" if self.contradiction else told


class Comparison:
    """Takes what the training says, one message at a time, and knows what has not been said yet."""

    def __init__(self, record: TrainingRecord) -> None:
        self._record = record
        self._epochs = set(record.epochs)
        self._stages = set(record.stages)
        self._is_over = False
        #: Epochs and stages that were as recorded.
        self.epochs = 0
        self.stages = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing that was recorded is left: the training may go on, but shows nothing more."""
        waits_for_end = self._record.has_model or self._record.failure is not None
        return self._is_over or not (self._epochs or self._stages or waits_for_end)

    def take(self, message: Mapping[str, Any]) -> Difference | None:
        """The difference that a message of `ktrdr.audit.rederivation.training_process` shows, if it shows one."""
        match message["said"]:
            case "StageFinished":
                return self._stage(message["name"], message["facts"])
            case "EpochFinished":
                return self._epoch(message)
            case "Trained":
                self._is_over = True
                return self._too_short() or self._result(message)
            case "Failed" | "Broke":
                self._is_over = True
                return self._failure(message)
        return None

    def _stage(self, name: str, facts: Any) -> Difference | None:
        if name not in self._stages:
            return None
        self._stages.discard(name)
        if found := _first(self._record.stages[name].facts, facts):
            return Difference(where=f"stage {name}", what=found[0], recorded=found[1], found=found[2])
        self.stages += 1
        return None

    def _epoch(self, message: Mapping[str, Any]) -> Difference | None:
        number = message["epoch"]
        if number not in self._epochs:
            return self._too_long(number)
        self._epochs.discard(number)
        newest, *older = self._record.epoch_records(number)
        if difference := _epoch_difference(newest, message):
            return difference
        for record in older:
            if difference := _epoch_difference(record, message):
                told = (
                    f"so attempt {record.attempt.claimed.attempt} of job {record.job_id} said; the newest word is right"
                )
                return replace(difference, contradiction=told)
        self.epochs += 1
        return None

    def _too_long(self, number: int) -> Difference | None:
        """An epoch that is not on record: of a completed training it can only have been pruned."""
        end = self._record.end
        if not isinstance(end, JobCompleted) or number <= end.epochs_trained:
            return None
        where = f"epoch {number}"
        return Difference(where=where, epoch=number, what="epochs trained", recorded=end.epochs_trained, found=number)

    def _too_short(self) -> Difference | None:
        if not self._epochs:
            return None
        number = min(self._epochs)
        recorded = self._record.epochs[number][-1].finished.weights_digest
        return Difference(where=f"epoch {number}", epoch=number, what="the weights", recorded=recorded, found=None)

    def _result(self, message: Mapping[str, Any]) -> Difference | None:
        end = self._record.end
        if not isinstance(end, JobCompleted):
            return self._another_end("a model")
        said = {**message, "symbol_metrics": message["per_symbol_metrics"]}
        for name in _RESULT:
            if found := _first({name: getattr(end, name)}, {name: said[name]}):
                return Difference(where="the model", what=found[0], recorded=found[1], found=found[2])
        return None

    def _failure(self, message: Mapping[str, Any]) -> Difference | None:
        failure = self._record.failure
        if failure is None:
            return self._another_end(message["message"])
        if message["said"] == "Broke":  # what nobody foresaw is recorded with its place in the code
            return None if failure.message.startswith(message["message"]) else self._another_end(message["message"])
        same = (failure.kind, failure.message) == (message["kind"], message["message"])
        return self._too_short() if same else self._another_end(message["message"])

    def _another_end(self, found: str) -> Difference | None:
        """The training ended otherwise than recorded. One that was stopped could have ended in any way."""
        if self.is_stopped and not (self._epochs or self._stages):
            return None
        recorded = self._record.failure.message if self._record.failure else "a model"
        return Difference(where="the end", what="how it ended", recorded=recorded, found=found)

    @property
    def is_stopped(self) -> bool:
        """Whether the recorded training came to no end of its own: it was cancelled, or its workers were lost."""
        return not self._record.has_model and self._record.failure is None


def _epoch_difference(record: EpochRecord, message: Mapping[str, Any]) -> Difference | None:
    recorded = {name: value for name, value in event_data(record.finished).items() if name not in _UNCOMPARED}
    if not recorded["tensors"]:  # recorded before they were
        del recorded["tensors"]
    where = {"where": f"epoch {message['epoch']}", "epoch": message["epoch"]}
    if recorded["weights_digest"] != message["weights_digest"]:
        if which := _first_tensor(recorded.get("tensors", ""), message["tensors"], message["names"]):
            return Difference(**where, what="the weights", tensor=which[0], recorded=which[1], found=which[2])
        what = "the weights (of which tensor, the log does not say)"
        return Difference(**where, what=what, recorded=recorded["weights_digest"], found=message["weights_digest"])
    if found := _first(recorded, {name: message[name] for name in recorded}):
        return Difference(**where, what=found[0], recorded=found[1], found=found[2])
    return None


def _first_tensor(recorded: str, found: str, names: Sequence[str]) -> tuple[str, str, str] | None:
    """The first tensor, by name, whose digest is another one; None where the log does not hold one for each."""
    if len(recorded) != len(found):
        return None
    length = len(found) // len(names)
    for number, name in enumerate(names):
        one, other = (text[number * length : (number + 1) * length] for text in (recorded, found))
        if one != other:
            return name, one, other
    return None


def _first(recorded: Any, found: Any) -> tuple[str, Any, Any] | None:
    for place, one, other in differences(recorded, found):
        return dotted(place), None if one is MISSING else one, None if other is MISSING else other
    return None


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:16] + "…"
    return "nothing" if value is None else f"{value!r}"[:200] if not isinstance(value, str) else value[:300]
