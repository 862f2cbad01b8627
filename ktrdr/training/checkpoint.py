"""A training between two epochs: everything that it needs to go on, as a value and as bytes. Imports torch only.

A training that goes on from a checkpoint gives the weights and the history of one that was never interrupted, bit for
bit; leave any one field out and it does not. The bytes are a safetensors file, never pickle, and a function of the
training: no time is in them, so that the same training gives the same file again. The SHA-256 of everything is part of
them, so a damaged one is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ktrdr.training.optimization import Best, LearningRate
from ktrdr.training.progress import EpochFinished
from ktrdr.training.weights import weights_digest

FORMAT = 2

#: The only key of the metadata, because the order of several would not be the same every time.
_METADATA = "checkpoint"
_OPTIMIZER, _GENERATOR = "optimizer.", "generator."


class CheckpointError(Exception):
    """The bytes are not there, no checkpoint as it was written, or one of another training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    #: SHA-256 over what the training is: only that very training can go on from here as if nothing had happened.
    training: str
    seed: int
    #: What the weights consist of, as `layout_of` says it.
    layout: Mapping[str, str]
    #: Of every epoch up to here; how long one took is not kept, and read again it is 0.
    history: tuple[EpochFinished, ...]
    #: All weights, (weights,), on the CPU as every tensor here.
    weights: torch.Tensor
    #: What the optimizer remembers, by name.
    optimizer: Mapping[str, torch.Tensor]
    learning_rate: LearningRate
    #: Early stopping's best epoch; None without early stopping.
    best: Best | None
    #: The global generators, and the one that draws the order of the samples.
    generators: Mapping[str, torch.Tensor]

    @property
    def epoch(self) -> int:
        """The last epoch that is done."""
        return len(self.history)

    def to_bytes(self) -> bytes:
        """A safetensors file. Equal checkpoints give equal bytes."""
        tensors = {
            "weights": self.weights,
            **{_OPTIMIZER + name: tensor for name, tensor in self.optimizer.items()},
            **{_GENERATOR + name: tensor for name, tensor in self.generators.items()},
        }
        best: dict[str, object] | None = None
        if self.best is not None:
            tensors["best"] = self.best.weights
            best = {
                "epoch": self.best.epoch,
                "value": self.best.value,
                "reference": self.best.reference,
                "epochs_without_gain": self.best.epochs_without_gain,
            }
        plain = {
            "format": FORMAT,
            "training": self.training,
            "seed": self.seed,
            "layout": dict(self.layout),
            "history": [_timeless(epoch) for epoch in self.history],
            "learning_rate": asdict(self.learning_rate),
            "best": best,
        }
        metadata = _canonical_json({"digest": _digest(plain, tensors), "plain": plain})
        return safetensors.torch.save(tensors, {_METADATA: metadata})


def from_bytes(data: bytes) -> Checkpoint:
    """Raises `CheckpointError` unless these are the bytes that `to_bytes` gave."""
    try:
        checkpoint = _parse(data)
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"these {len(data)} bytes are no checkpoint that this version can read: {error}"
        ) from error
    if checkpoint.to_bytes() != data:
        raise CheckpointError("the checkpoint was changed after it was written")
    return checkpoint


def read_checkpoint(file: Path, digest: str) -> Checkpoint:
    """The checkpoint that was saved under this digest. Raises `CheckpointError`."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise CheckpointError("its file is missing") from None
    except OSError as error:
        raise CheckpointError(f"its file cannot be read: {error}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise CheckpointError(f"the {len(data)} bytes of its file are not those that were saved")
    return from_bytes(data)


def _parse(data: bytes) -> Checkpoint:
    # The file begins with the length of its header, in eight bytes (the format is described at
    # https://github.com/huggingface/safetensors#format); the library reads metadata from files only.
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_METADATA])
    tensors = safetensors.torch.load(data)
    plain = metadata["plain"]
    if metadata["digest"] != _digest(plain, tensors):
        raise ValueError("its content does not have the SHA-256 that it names")
    if plain["format"] != FORMAT:
        raise ValueError(f"its format is {plain['format']}, not {FORMAT}")
    return Checkpoint(
        training=plain["training"],
        seed=plain["seed"],
        layout=plain["layout"],
        history=tuple(EpochFinished(**epoch, seconds=0.0) for epoch in plain["history"]),
        weights=tensors["weights"],
        optimizer=_beginning_with(_OPTIMIZER, tensors),
        learning_rate=LearningRate(**plain["learning_rate"]),
        best=None if plain["best"] is None else Best(weights=tensors["best"], **plain["best"]),
        generators=_beginning_with(_GENERATOR, tensors),
    )


def _beginning_with(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _timeless(epoch: EpochFinished) -> dict[str, object]:
    return {name: value for name, value in asdict(epoch).items() if name != "seconds"}


def _digest(plain: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> str:
    return hashlib.sha256(f"{_canonical_json(plain)}\0{weights_digest(tensors)}".encode()).hexdigest()


def _canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
