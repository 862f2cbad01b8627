"""Section 8: `decisions`, how a prediction becomes a signal. Imports the checks and the model."""

from __future__ import annotations

from typing import Any, get_args

from ktrdr.training.strategy.findings import WRONG, Findings, Path
from ktrdr.training.strategy.keys import REQUIRED, Key, Section, described, entries, read
from ktrdr.training.strategy.model import CostModel, Decisions, OutputFormat
from ktrdr.training.strategy.schema import of_map
from ktrdr.training.strategy.values import choice, flag, number

_COST_MODEL = (
    Key("round_trip_cost", number(0, 1, above_low=True), REQUIRED, example="round_trip_cost: 0.003"),
    Key("min_edge_multiplier", number(0, 1000, above_low=True), REQUIRED, example="min_edge_multiplier: 1.5"),
)
_FILTERS = (Key("min_signal_separation", number(0, 1_000_000), 4.0),)


@described(lambda: of_map(_COST_MODEL))
def _cost_model(value: Any, path: Path, findings: Findings) -> Any:
    section = read(entries(value, path, findings), path, _COST_MODEL, findings)
    return WRONG if section.is_wrong else CostModel(**section.values)


@described(lambda: of_map(_FILTERS))
def _filters(value: Any, path: Path, findings: Findings) -> Any:
    section = read(entries(value, path, findings), path, _FILTERS, findings)
    return WRONG if section.is_wrong else section["min_signal_separation"]


DECISIONS = (
    Key("output_format", choice(*get_args(OutputFormat)), "classification"),
    Key("confidence_threshold", number(0, 1), 0.5),
    Key("cost_model", _cost_model, None),
    Key("filters", _filters, 4.0),
    Key("position_awareness", flag, True),
    Key("allow_short_from_flat", flag, False),
)

#: Output format → the keys of `decisions` that only the other one reads.
IDLE = {"classification": "cost_model", "regression": "confidence_threshold"}


def read_decisions(value: object, findings: Findings) -> Section:
    path: Path = ("decisions",)
    section = read(entries(value, path, findings), path, DECISIONS, findings)
    output_format = section["output_format"]
    if output_format is None:
        return section
    idle = IDLE[output_format]
    if idle in section.given:
        findings.warn(section.where(idle), f"{idle!r} has no effect with output_format {output_format!r}")
        section.values[idle] = next(key.default for key in DECISIONS if key.name == idle)
    if output_format == "regression" and "cost_model" not in section.given:
        fix = "for example cost_model: {round_trip_cost: 0.003, min_edge_multiplier: 1.5}"
        findings.wrong(section.where("cost_model"), "'cost_model' is missing; regression needs it", fix)
    return section


def build_decisions(section: Section) -> Decisions:
    """Only for a section without a fault."""
    values = dict(section.values)
    return Decisions(min_signal_separation=values.pop("filters"), **values)
