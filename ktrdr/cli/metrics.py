"""What a model reached on the test data, beside a forecast without skill. Imports this package's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ktrdr.cli.output import put_table

_NO_SKILL = "no_skill_"


def put_metrics(metrics: Mapping[str, Any], symbol_metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """The metrics with a counterpart without skill, overall and by symbol."""
    rows = [
        (symbol, name, shown(value, name), shown(baseline, name))
        for symbol, of in (("all", metrics), *symbol_metrics.items())
        for name, value, baseline in compared(of)
    ]
    put_table(("symbol", "test metric", "model", "without skill"), rows, empty="there are no test metrics")


def compared(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each metric that has a counterpart without skill: its name, the model's value, the other one's."""
    for name, baseline in metrics.items():
        if name.startswith(_NO_SKILL):
            metric = name.removeprefix(_NO_SKILL)
            yield metric.replace("_", " "), metrics.get(metric), baseline


def shown(value: Any, name: str) -> str:
    """A metric for people: shares in per cent."""
    if value is None:
        return "-"
    return f"{value:.1%}" if "accuracy" in name else f"{value:.5f}"
