"""Section 6: `training.labels`, what the model learns to say. Imports the checks and the model."""

from __future__ import annotations

from typing import Any

from ktrdr.training.strategy.findings import WRONG, Findings, Path
from ktrdr.training.strategy.keys import Key, described, entries, read_variant
from ktrdr.training.strategy.model import Labels, OutputFormat
from ktrdr.training.strategy.schema import of_variants
from ktrdr.training.strategy.values import choice, flag, number, whole


@described({"type": "number"})
def _cusum_threshold(value: Any, path: Path, findings: Findings) -> Any:
    """A log return; whatever is not above 0 asks for an automatic threshold, which 0 stands for."""
    real = number()(value, path, findings)
    return real if real is WRONG or real > 0.0 else 0.0


#: Source → its parameters.
SOURCES: dict[str, tuple[Key, ...]] = {
    "zigzag": (Key("zigzag_threshold", number(0, 1, above_low=True, below_high=True), 0.02),),
    "forward_return": (Key("horizon", whole(1, 10_000), 20),),
    "context": (
        Key("horizon", whole(1, 10_000), 5),
        Key("bullish_threshold", number(-1, 10), 0.005),
        Key("bearish_threshold", number(-1, 10), -0.005),
    ),
    "triple_barrier": (
        Key("pt_multiplier", number(0, 1000, above_low=True), 2.0, ("profit_target_atr",)),
        Key("sl_multiplier", number(0, 1000, above_low=True), 1.5, ("stop_loss_atr",)),
        Key("max_holding_period", whole(1, 10_000), 50, ("max_holding_bars",)),
        Key("vol_span", whole(1, 10_000), 50, ("atr_period",)),
        Key("vol_method", choice("atr", "close"), "atr"),
        Key("compute_weights", flag, False),
        Key("cusum_threshold", _cusum_threshold, None),
        Key("cusum_multiplier", number(0, 1000, above_low=True), 0.5),
    ),
    "regime": (
        Key("macro_atr_mult", number(0, 1000, above_low=True), 3.0),
        Key("micro_atr_mult", number(0, 1000, above_low=True), 1.0),
        # A deviation takes two returns.
        Key("atr_period", whole(2, 10_000), 14),
        Key("vol_lookback", whole(2, 100_000), 120),
        Key("vol_crisis_threshold", number(0, 1000, above_low=True), 2.0),
        Key("progression_tolerance", number(0, 1), 0.5),
    ),
}

#: Source → what its labels are; the output of the model must be the same.
KINDS: dict[str, OutputFormat] = {
    "zigzag": "classification",
    "forward_return": "regression",
    "context": "classification",
    "triple_barrier": "classification",
    "regime": "classification",
}
#: Source → two parameters of which the second must be below the first.
_ORDERED = {
    "context": ("bullish_threshold", "bearish_threshold"),
    "regime": ("macro_atr_mult", "micro_atr_mult"),
}
_SOURCE = Key("source", choice(*SOURCES), "zigzag")


@described(lambda: of_variants(_SOURCE, SOURCES))
def check_labels(value: Any, path: Path, findings: Findings) -> Any:
    section = read_variant(entries(value, path, findings), path, _SOURCE, SOURCES, findings)
    if section.is_wrong:
        return WRONG
    source = section["source"]
    if source in _ORDERED:
        above, below = _ORDERED[source]
        if section[below] >= section[above]:
            where = section.where(below if below in section.given else above)
            problem = f"{below} {section[below]:g} is not below {above} {section[above]:g}"
            return findings.wrong(where, problem, f"{below} < {above}")
    params = {key.name: section[key.name] for key in SOURCES[source]}
    if source == "triple_barrier" and params["cusum_threshold"] != 0.0:
        # A multiplier that nothing reads is no part of the resolved labels.
        del params["cusum_multiplier"]
        if "cusum_multiplier" in section.given:
            problem = "'cusum_multiplier' has no effect without an automatic threshold"
            findings.warn(section.where("cusum_multiplier"), problem, "cusum_threshold: 0 makes it automatic")
    return Labels(source=source, params=params)


DEFAULT = Labels(source="zigzag", params={key.name: key.default for key in SOURCES["zigzag"]})
