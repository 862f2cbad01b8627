"""Section 5: `training`, how the network learns. Imports the checks and the model."""

from __future__ import annotations

import math
from typing import Any

from ktrdr.training.strategy.findings import WRONG, Findings, Path
from ktrdr.training.strategy.keys import (
    REQUIRED,
    Entries,
    Key,
    Section,
    described,
    entries,
    read,
    read_overlaid,
    read_variant,
    schema_of,
)
from ktrdr.training.strategy.model import EarlyStopping, Loss, LossName, Optimizer, OutputFormat, Scheduler, Training
from ktrdr.training.strategy.schema import of_map, of_variants
from ktrdr.training.strategy.sections.labels import DEFAULT, check_labels
from ktrdr.training.strategy.values import any_case, choice, flag, number, switch, whole

_LEARNING_RATE = number(0, 10, above_low=True)
_WEIGHT_DECAY = number(0, 1)
_MOMENTUM = number(0, 1, below_high=True)
_FACTOR = number(0, 1, above_low=True, below_high=True)

_EVERY_OPTIMIZER = (Key("learning_rate", _LEARNING_RATE, None, ("lr",)), Key("weight_decay", _WEIGHT_DECAY, None))
_OPTIMIZERS: dict[str, tuple[Key, ...]] = {
    "adam": _EVERY_OPTIMIZER,
    "adamw": _EVERY_OPTIMIZER,
    "sgd": (*_EVERY_OPTIMIZER, Key("momentum", _MOMENTUM, 0.9)),
    "rmsprop": (*_EVERY_OPTIMIZER, Key("momentum", _MOMENTUM, 0.0)),
}
_OPTIMIZER = Key("type", choice(*_OPTIMIZERS), REQUIRED, ("name",), "type: adam")
_SCHEDULERS: dict[str, tuple[Key, ...]] = {
    "step": (Key("step_size", whole(1, 100_000), 30), Key("gamma", number(0, 1, above_low=True), 0.1)),
    "exponential": (Key("gamma", number(0, 1, above_low=True), 0.95),),
    "cosine": (),
    "reduce_on_plateau": (Key("factor", _FACTOR, 0.5), Key("patience", whole(0, 100_000), 5)),
}
_SCHEDULER = Key("type", choice(*_SCHEDULERS), REQUIRED, example="type: reduce_on_plateau")
_EARLY_STOPPING = (
    Key("enabled", flag, True),
    Key("patience", whole(1, 100_000), 10),
    Key("min_delta", number(0, 1000), 0.001),
    Key("monitor", choice("val_loss", "val_accuracy"), "val_loss"),
)
_DATA_SPLIT = (
    Key("train", _FACTOR, REQUIRED, example="train: 0.7"),
    Key("validation", _FACTOR, REQUIRED, ("val",), "validation: 0.15"),
    Key("test", _FACTOR, REQUIRED, example="test: 0.15"),
)
#: Output format → its losses, the first being the default.
LOSSES: dict[OutputFormat, tuple[LossName, ...]] = {
    "classification": ("cross_entropy", "focal"),
    "regression": ("huber", "mse"),
}
#: Loss → the key of `training` that only it reads, and the default of that key.
LOSS_PARAMETERS = {"focal": ("focal_gamma", 2.0), "huber": ("huber_delta", 0.01)}

_WEIGHT_DECAY_DEFAULTS: dict[OutputFormat, float] = {"classification": 1e-4, "regression": 0.0}


def _variant(
    value: Any, path: Path, selector: Key, variants: dict[str, tuple[Key, ...]], findings: Findings
) -> Section:
    """A bare name is short for a map that holds only the selector."""
    given = entries({selector.name: value} if isinstance(value, str) else value, path, findings)
    return read_variant(given, path, selector, variants, findings)


@described(lambda: {"anyOf": [any_case(_OPTIMIZERS), of_variants(_OPTIMIZER, _OPTIMIZERS)]})
def _optimizer(value: Any, path: Path, findings: Findings) -> Any:
    """The section: `learning_rate` and `weight_decay` may also stand beside it."""
    section = _variant(value, path, _OPTIMIZER, _OPTIMIZERS, findings)
    return WRONG if section.is_wrong else section


@described(lambda: {"anyOf": [schema_of(flag), any_case(_SCHEDULERS), of_variants(_SCHEDULER, _SCHEDULERS)]})
def _scheduler(value: Any, path: Path, findings: Findings) -> Any:
    switched = switch(value)
    if switched is False:
        return None
    section = _variant("reduce_on_plateau" if switched else value, path, _SCHEDULER, _SCHEDULERS, findings)
    return WRONG if section.is_wrong else Scheduler(**section.values)


@described(lambda: {"anyOf": [schema_of(flag), of_map(_EARLY_STOPPING)]})
def _early_stopping(value: Any, path: Path, findings: Findings) -> Any:
    switched = switch(value)
    given = entries(value if switched is None else {"enabled": switched}, path, findings)
    section = read(given, path, _EARLY_STOPPING, findings)
    if section.is_wrong:
        return WRONG
    is_enabled = section.values.pop("enabled")
    return EarlyStopping(**section.values) if is_enabled else None


@described(lambda: of_map(_DATA_SPLIT))
def _data_split(value: Any, path: Path, findings: Findings) -> Any:
    section = read(entries(value, path, findings), path, _DATA_SPLIT, findings)
    if section.is_wrong:
        return WRONG
    shares = tuple(section[key.name] for key in _DATA_SPLIT)
    if not math.isclose(math.fsum(shares), 1, abs_tol=1e-6):
        return findings.wrong(path, f"the shares sum to {math.fsum(shares):g}", "train, validation and test sum to 1")
    return shares


TRAINING = (
    Key("epochs", whole(1, 100_000), 100),
    Key("batch_size", whole(1, 1_000_000), 32),
    Key("learning_rate", _LEARNING_RATE, 0.001),
    Key("optimizer", _optimizer, None),
    Key("weight_decay", _WEIGHT_DECAY, None),
    Key("lr_scheduler", _scheduler, None),
    Key("early_stopping", _early_stopping, None),
    Key("gradient_clip", number(-1e6, 1e6), 1.0),
    Key("loss", choice(*(loss for losses in LOSSES.values() for loss in losses)), None),
    Key("focal_gamma", number(0, 100), None),
    Key("huber_delta", number(0, 1e6, above_low=True), None),
    Key("class_weights", choice("balanced", "none"), "balanced"),
    Key("seed", whole(0, 2**53 - 1), None),
    Key("data_split", _data_split, (0.7, 0.15, 0.15)),
    Key("labels", check_labels, DEFAULT),
)


def read_training(value: object, from_model: Entries, findings: Findings) -> Section:
    """The checked keys of `training`, laid over those of `model.training`."""
    path: Path = ("training",)
    given = entries(value, path, findings)
    section = read_overlaid(from_model, given or {}, path, TRAINING, findings)
    section.is_wrong |= given is None
    optimizer = section["optimizer"]
    for name in ("learning_rate", "weight_decay") if optimizer else ():
        if name in optimizer.given and name in section.given and optimizer[name] != section[name]:
            winner = ".".join(map(str, optimizer.where(name)))
            findings.warn(section.where(name), f"{section[name]:g} has no effect: {winner} wins")
    return section


def build_training(section: Section, output_format: OutputFormat) -> Training:
    """Only for a section without a fault, and one that agrees with the output format."""
    optimizer = section["optimizer"] or Section(section.path, {"type": "adam"})
    weight_decay = next((s["weight_decay"] for s in (optimizer, section) if s["weight_decay"] is not None), None)
    loss: LossName = section["loss"] or LOSSES[output_format][0]
    parameter, default = LOSS_PARAMETERS.get(loss, (None, None))
    return Training(
        epochs=section["epochs"],
        batch_size=section["batch_size"],
        optimizer=Optimizer(
            type=optimizer["type"],
            learning_rate=optimizer["learning_rate"] or section["learning_rate"],
            weight_decay=_WEIGHT_DECAY_DEFAULTS[output_format] if weight_decay is None else weight_decay,
            momentum=optimizer["momentum"] or 0.0,
        ),
        scheduler=section["lr_scheduler"],
        early_stopping=section["early_stopping"],
        gradient_clip=section["gradient_clip"] if section["gradient_clip"] > 0 else None,
        loss=Loss(type=loss, **{parameter: section[parameter] or default} if parameter else {}),
        class_weights=section["class_weights"] if output_format == "classification" else "none",
        seed=section["seed"],
        data_split=section["data_split"],
        labels=section["labels"],
    )
