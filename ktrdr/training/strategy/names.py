"""The names in a strategy: what they may look like, and the names of the features. Imports the model and the checks."""

from __future__ import annotations

from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.values import matching

SYMBOL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._^=-]{0,31}"

check_symbol = matching(
    SYMBOL_PATTERN, "1 to 32 letters, digits and the characters . _ ^ = -, the first a letter or digit"
)
check_name = matching(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", "1 to 100 letters, digits, _ and -, the first a letter or digit"
)
#: Identifiers have no dot: it separates an indicator's id from the name of its output.
check_id = matching(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", "1 to 64 letters, digits, _ and -, the first not a -")


def feature_names(strategy: Strategy) -> list[str]:
    """The columns that the model sees, in order (strategy-v3, section 4)."""
    names = []
    for entry in strategy.inputs:
        for timeframe in entry.timeframes:
            if entry.fuzzy_set is None:
                names.append(f"{timeframe}_{entry.raw_indicator}_raw")
            else:
                memberships = strategy.fuzzy_sets[entry.fuzzy_set].memberships
                names += [f"{timeframe}_{entry.fuzzy_set}_{membership.name}" for membership in memberships]
    return names
