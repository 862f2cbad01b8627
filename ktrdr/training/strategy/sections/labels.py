"""Section 6: `training.labels`, what the model learns to say. Imports the checks and the model."""

from __future__ import annotations

from typing import Any

from ktrdr.training.strategy.findings import WRONG, Findings, Path
from ktrdr.training.strategy.keys import Key, entries, read_variant
from ktrdr.training.strategy.model import Labels, OutputFormat
from ktrdr.training.strategy.values import choice, flag, not_yet, number, whole

_FILTERED_LATER = "every bar a sample"

#: Source → its parameters.
SOURCES: dict[str, tuple[Key, ...]] = {
    "zigzag": (Key("zigzag_threshold", number(0, 1, above_low=True, below_high=True), 0.02),),
    "forward_return": (Key("horizon", whole(1, 10_000), 20),),
    "triple_barrier": (
        Key("pt_multiplier", number(0, 1000, above_low=True), 2.0, ("profit_target_atr",)),
        Key("sl_multiplier", number(0, 1000, above_low=True), 1.5, ("stop_loss_atr",)),
        Key("max_holding_period", whole(1, 10_000), 50, ("max_holding_bars",)),
        Key("vol_span", whole(1, 10_000), 50, ("atr_period",)),
        Key("vol_method", choice("atr", "close"), "atr"),
        Key("compute_weights", flag, False),
        Key("cusum_threshold", not_yet(None, _FILTERED_LATER), None),
        Key("cusum_multiplier", not_yet(0.5, _FILTERED_LATER), 0.5),
    ),
}
#: Parameters that this version only refuses; they are no part of the resolved labels.
_REFUSED = ("cusum_threshold", "cusum_multiplier")

#: Source → what its labels are; the output of the model must be the same.
KINDS: dict[str, OutputFormat] = {
    "zigzag": "classification",
    "forward_return": "regression",
    "triple_barrier": "classification",
}
_SOURCE = Key("source", choice(*SOURCES, later=("context", "regime")), "zigzag")


def check_labels(value: Any, path: Path, findings: Findings) -> Any:
    section = read_variant(entries(value, path, findings), path, _SOURCE, SOURCES, findings)
    if section.is_wrong:
        return WRONG
    source = section["source"]
    return Labels(source=source, params={k.name: section[k.name] for k in SOURCES[source] if k.name not in _REFUSED})


DEFAULT = Labels(source="zigzag", params={key.name: key.default for key in SOURCES["zigzag"]})
