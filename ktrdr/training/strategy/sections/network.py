"""Section 5: `model`, the network. Its `training` keys are handed to the training section. Imports the checks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from ktrdr.training.strategy.findings import Findings, Path
from ktrdr.training.strategy.keys import REQUIRED, Entries, Key, entries, read, read_overlaid, report_unknown
from ktrdr.training.strategy.model import Activation, Mlp, Model, ModelFeatures, Recurrent
from ktrdr.training.strategy.values import choice, flag, listing, number, whole

MOST_LAGS = 500

TYPE = Key("type", choice("mlp", "lstm", "gru"), REQUIRED, example="type: mlp")

_DROPOUT = Key("dropout", number(0, 1, below_high=True), 0.2)
_RECURRENT = (
    # The format names no default; 20 bars are what its recurrent networks are usually shown and measured with.
    Key("sequence_length", whole(1, 2000), 20),
    Key("hidden_size", whole(1, 4096), 64),
    Key("num_layers", whole(1, 16), 2),
    _DROPOUT,
)

#: Model type → the keys of its architecture.
ARCHITECTURES = {
    "mlp": (
        Key("hidden_layers", listing(whole(1, 8192), 1, 32), REQUIRED, example="hidden_layers: [64, 32]"),
        _DROPOUT,
        Key("activation", choice(*get_args(Activation)), "relu"),
    ),
    "lstm": _RECURRENT,
    "gru": _RECURRENT,
}
_PARTS = ("architecture", "features", "training")
FEATURES = (
    Key(
        "lookback_periods",
        whole(0, MOST_LAGS),
        0,
        description="Each feature's value at so many previous rows is a feature too.",
    ),
    Key(
        "include_price_context",
        flag,
        False,
        description="Adds return, range over close and volume over its usual volume, for each timeframe.",
    ),
    Key(
        "scale_features",
        flag,
        False,
        description="Standardises every feature that is no membership and has no normalization of its own.",
    ),
)


@dataclass(frozen=True, slots=True)
class Network:
    #: None when it is wrong.
    model: Model | None
    #: The entries of `model.training`, over which `training` wins key by key.
    training: Entries


def read_network(value: object, findings: Findings) -> Network:
    path: Path = ("model",)
    given = entries(value, path, findings)
    if given is None:
        return Network(None, {})
    inner: dict[str, Entries | None] = {}
    for name in _PARTS:
        entry = given.pop(name, None)
        inner[name] = {} if entry is None or entry.value is None else entries(entry.value, entry.path, findings)
    features = read(inner["features"], (*path, "features"), FEATURES, findings)
    model = _read_model(path, given, inner["architecture"] or {}, findings)
    if model is not None:
        model = None if features.is_wrong else replace(model, features=ModelFeatures(**features.values))
    return Network(model, inner["training"] or {})


def _read_model(path: Path, given: Entries, architecture: Entries, findings: Findings) -> Model | None:
    """Files also write the keys of the architecture beside `type`; those inside `architecture` win."""
    known = {name for keys in ARCHITECTURES.values() for key in keys for name in key.names}
    beside = {name: given.pop(name) for name in list(given) if name in known}
    report_unknown(given, {"type", *_PARTS, *known}, findings)
    kind = read({name: entry for name, entry in given.items() if name == "type"}, path, (TYPE,), findings)
    if kind.is_wrong:
        return None
    keys = ARCHITECTURES[kind["type"]]
    idle = known - {name for key in keys for name in key.names}
    for entries_here in (beside, architecture):
        for name in [name for name in entries_here if name in idle]:
            findings.warn(entries_here.pop(name).path, f"{name!r} has no effect with type {kind['type']!r}")
    section = read_overlaid(beside, architecture, (*path, "architecture"), keys, findings)
    if section.is_wrong:
        return None
    build = Mlp if kind["type"] == "mlp" else Recurrent
    return Model(type=kind["type"], architecture=build(**section.values))
