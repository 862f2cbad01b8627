"""How benchmarks print: one JSON line per figure."""

from __future__ import annotations

import json
from collections.abc import Sequence


def figure(name: str, value: float, unit: str, **more: object) -> None:
    print(json.dumps({"name": name, "value": round(value, 4), "unit": unit, **more}), flush=True)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which the given share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(name: str, seconds: Sequence[float], **more: object) -> None:
    """Median and 99th percentile of durations, in milliseconds."""
    figure(f"{name}, median", quantile(seconds, 0.5) * 1000, "ms", samples=len(seconds), **more)
    figure(f"{name}, p99", quantile(seconds, 0.99) * 1000, "ms", samples=len(seconds), **more)
