"""Section 2: `context_data`, series from elsewhere that indicators may be computed on. Imports the checks, the model.

Whether a series has been imported is not known here: a file is right or wrong by itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, get_args

from ktrdr.training.strategy.findings import WRONG, Findings, Path, shown
from ktrdr.training.strategy.keys import REQUIRED, Key, described, entries, read, schema_of
from ktrdr.training.strategy.model import TIMEFRAMES, ContextKind, ContextSeries
from ktrdr.training.strategy.names import check_series
from ktrdr.training.strategy.schema import of_map
from ktrdr.training.strategy.values import choice, listing, text

MOST_SERIES = 100
LONGEST_LAG = timedelta(days=3650)

#: How far one value of a series may reach: a timeframe, or a quarter.
FREQUENCIES = (*TIMEFRAMES, "1Q")
SYNONYMS = {"hourly": "1h", "daily": "1d", "weekly": "1w", "monthly": "1M", "quarterly": "1Q"}

check_frequency = choice(*FREQUENCIES, synonyms=SYNONYMS, exact=True)

_LAG = re.compile(r"([0-9]{1,6}) ?(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@described(
    {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": LONGEST_LAG.days},
            {"type": "string", "pattern": f"^{_LAG.pattern}$"},
        ]
    }
)
def check_lag(value: Any, path: Path, findings: Findings) -> Any:
    """A number of days, or a number with its unit: `30m`, `12h`, `1d`, `2w`."""
    fix = f"a number of days, or text such as 30m, 12h, 1d or 2w, at most {LONGEST_LAG.days} days"
    if isinstance(value, str):
        found = _LAG.fullmatch(value)
        if found is None:
            return findings.wrong(path, f"{shown(value)} is no length of time", fix)
        lag = timedelta(**{_UNITS[found[2]]: int(found[1])})
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return findings.wrong(path, f"{shown(value)} is no length of time", fix)
    elif not 0 <= value <= LONGEST_LAG.days:
        return findings.wrong(path, f"{shown(value)} is out of range", fix)
    else:
        lag = timedelta(days=value)
    return lag if lag <= LONGEST_LAG else findings.wrong(path, f"{shown(value)} is out of range", fix)


KINDS: tuple[ContextKind, ...] = get_args(ContextKind)
_MEANINGS: dict[ContextKind, str] = {
    "series": "The name of a series of values, by which an indicator's `data_source` refers to it.",
    "symbol": "The symbol whose prices are read, by which an indicator's `data_source` refers to it.",
    "report": "The name of a series of values from a report, by which an indicator's `data_source` refers to it.",
}
ENTRY = (
    Key("provider", text(100), REQUIRED, example="provider: fred", description="Where the data is from, in any words."),
    *(Key(kind, check_series, None, description=_MEANINGS[kind]) for kind in KINDS),
    Key(
        "frequency",
        check_frequency,
        REQUIRED,
        ("timeframe",),
        example="frequency: daily",
        description="How long the period is that a value is of; it is known after its end.",
    ),
    Key(
        "publication_lag",
        check_lag,
        timedelta(0),
        description="How long after the end of its period a value becomes known: days, or text such as 12h or 2w.",
    ),
    Key(
        "alignment",
        choice("forward_fill"),
        "forward_fill",
        description="A value holds until the next one is known.",
    ),
)


@dataclass(frozen=True, slots=True)
class Context:
    """What was found, as far as it was right."""

    #: By name.
    series: Mapping[str, ContextSeries] = field(default_factory=dict)
    #: Name → where it stands.
    paths: Mapping[str, Path] = field(default_factory=dict)
    #: Whether an entry was wrong; references to it may then be right all the same.
    is_wrong: bool = False


def read_context(value: Any, findings: Findings) -> Context:
    path: Path = ("context_data",)
    if value is None:
        return Context()
    found = listing(_read_entry, 0, MOST_SERIES)(value, path, findings)
    if found is WRONG:
        return Context(is_wrong=True)
    series: dict[str, ContextSeries] = {}
    paths: dict[str, Path] = {}
    for position, one in enumerate(found):
        where = (*path, position, one.kind)
        if one.name in series:
            first = ".".join(map(str, paths[one.name]))
            findings.wrong(where, f"{shown(one.name)} is the name of {first} already", "each name once")
        elif one.name in TIMEFRAMES:
            findings.wrong(where, f"{shown(one.name)} is a timeframe", "another name")
        series.setdefault(one.name, one)
        paths.setdefault(one.name, (*path, position))
    return Context(series, paths)


@described(lambda: of_map(ENTRY) | {"oneOf": [{"required": [kind]} for kind in KINDS]})
def _read_entry(value: Any, path: Path, findings: Findings) -> Any:
    section = read(entries(value, path, findings), path, ENTRY, findings)
    if section.is_wrong:
        return WRONG
    given = [kind for kind in KINDS if section[kind] is not None]
    if len(given) != 1:
        return findings.wrong(path, "exactly one of 'series', 'symbol' and 'report' must be given", "it is the name")
    return ContextSeries(
        name=section[given[0]],
        kind=given[0],
        provider=section["provider"],
        frequency=section["frequency"],
        publication_lag=section["publication_lag"],
    )


#: For the table of the root: the entries are read by `read_context`, where their names can be compared.
check_context = described(lambda: {"type": "array", "maxItems": MOST_SERIES, "items": schema_of(_read_entry)})(
    lambda value, path, findings: value
)
