"""Variations of a sample strategy that the tests train."""

from __future__ import annotations

from typing import Any

import yaml

from ktrdr import sample


def trend_follower(**training: Any) -> dict[str, Any]:
    """The sample strategy `trend_follower` with other values in its training section; None removes a key."""
    strategy: dict[str, Any] = yaml.safe_load(sample.strategies()["trend_follower"])
    changed = strategy["training"] | training
    strategy["training"] = {key: value for key, value in changed.items() if value is not None}
    return strategy


def endless() -> dict[str, Any]:
    """A training that does not end by itself within any test."""
    return trend_follower(epochs=100_000, early_stopping=None, lr_scheduler=None)


def short(epochs: int = 2) -> dict[str, Any]:
    return trend_follower(epochs=epochs, early_stopping=None)
