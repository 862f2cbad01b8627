"""Section 5: `model`, the network. Its `training` keys are handed to the training section. Imports the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from ktrdr.training.strategy.findings import Findings, Path
from ktrdr.training.strategy.keys import REQUIRED, Entries, Key, entries, read, read_overlaid, report_unknown
from ktrdr.training.strategy.model import Activation, Mlp, Model
from ktrdr.training.strategy.values import choice, listing, not_yet, number, whole

_TYPE = Key("type", choice("mlp", later=("lstm", "gru")), REQUIRED, example="type: mlp")

#: Model type → the keys of its architecture.
ARCHITECTURES = {
    "mlp": (
        Key("hidden_layers", listing(whole(1, 8192), 1, 32), REQUIRED, example="hidden_layers: [64, 32]"),
        Key("dropout", number(0, 1, below_high=True), 0.2),
        Key("activation", choice(*get_args(Activation)), "relu"),
    ),
}
_PARTS = ("architecture", "features", "training")
_NONE_YET = "features that are the inputs themselves"
FEATURES = (
    Key("lookback_periods", not_yet(0, _NONE_YET), 0),
    Key("include_price_context", not_yet(False, _NONE_YET), False),
    Key("scale_features", not_yet(False, _NONE_YET), False),
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
    read(inner["features"], (*path, "features"), FEATURES, findings)
    return Network(_read_model(path, given, inner["architecture"] or {}, findings), inner["training"] or {})


def _read_model(path: Path, given: Entries, architecture: Entries, findings: Findings) -> Model | None:
    """Files also write the keys of the architecture beside `type`; those inside `architecture` win."""
    known = {name for keys in ARCHITECTURES.values() for key in keys for name in key.names}
    beside = {name: given.pop(name) for name in list(given) if name in known}
    report_unknown(given, {"type", *_PARTS, *known}, findings)
    kind = read({name: entry for name, entry in given.items() if name == "type"}, path, (_TYPE,), findings)
    if kind.is_wrong:
        return None
    keys = ARCHITECTURES[kind["type"]]
    section = read_overlaid(beside, architecture, (*path, "architecture"), keys, findings)
    if section.is_wrong:
        return None
    return Model(type=kind["type"], architecture=Mlp(**section.values))
