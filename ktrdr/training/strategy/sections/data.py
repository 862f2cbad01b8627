"""Section 2: `training_data`, which series are read and which dates of them. Imports the checks and the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ktrdr.training.strategy.findings import Findings, Path, one_of
from ktrdr.training.strategy.keys import Entry, Key, Section, entries, read, read_overlaid
from ktrdr.training.strategy.model import TIMEFRAMES, TrainingData
from ktrdr.training.strategy.names import check_symbol
from ktrdr.training.strategy.values import anything, choice, listing, moment, whole

MOST_SYMBOLS = 1000

check_timeframe = choice(*TIMEFRAMES, exact=True)

_PATH: Path = ("training_data",)
_PARTS = ("symbols", "timeframes", "date_range", "start_date", "end_date")
TRAINING_DATA = (*(Key(name, anything, None) for name in _PARTS), Key("history_required", whole(50, 100_000), 200))
SYMBOLS = (
    Key("mode", choice("single", "multi_symbol", synonyms={"multi": "multi_symbol"}), None),
    Key("symbol", check_symbol, None),
    Key("list", listing(check_symbol, 1, MOST_SYMBOLS, distinct=True), None, ("symbols",)),
)
TIMEFRAME_KEYS = (
    Key("mode", choice("single", "multi_timeframe", synonyms={"multi": "multi_timeframe"}), None),
    Key("timeframe", check_timeframe, None),
    Key("list", listing(check_timeframe, 1, len(TIMEFRAMES), distinct=True), None, ("timeframes",)),
    Key("base_timeframe", check_timeframe, None),
)
DATE_RANGE = (
    Key("start", moment(end_of_day=False), None, ("start_date",)),
    Key("end", moment(end_of_day=True), None, ("end_date",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The values that a submission may give beside the file; they win. Their paths in faults are their own names."""

    symbols: Sequence[str] | str | None = None
    timeframes: Sequence[str] | str | None = None
    start: str | date | datetime | None = None
    end: str | date | datetime | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """What was found, as far as it was right: sections after this one refer to the timeframes."""

    #: Empty when they are wrong.
    timeframes: tuple[str, ...]
    #: Where they stand.
    where: Path
    #: None when anything was wrong.
    training_data: TrainingData | None


def read_data(value: object, submission: Submission, findings: Findings) -> Data:
    faults = len(findings.faults)
    given = entries({} if value is None else value, _PATH, findings) or {}
    parts = {name: given.get(name) for name in _PARTS}
    symbols = _names("symbols", parts["symbols"], SYMBOLS, submission.symbols, findings)
    timeframes = _names("timeframes", parts["timeframes"], TIMEFRAME_KEYS, submission.timeframes, findings)
    start, end = _dates(parts, submission, findings)
    history = read(given, _PATH, TRAINING_DATA, findings)["history_required"]
    base = _base(timeframes, submission, findings)
    if len(findings.faults) > faults:
        return Data(timeframes.values, timeframes.where, None)
    training_data = TrainingData(
        symbols=symbols.values,
        timeframes=timeframes.values,
        base_timeframe=base,
        start=start,
        end=end,
        history_required=history,
    )
    return Data(timeframes.values, timeframes.where, training_data)


@dataclass(frozen=True, slots=True)
class _Names:
    values: tuple[str, ...]
    where: Path
    section: Section


def _names(
    plural: str, entry: Entry | None, keys: tuple[Key, ...], submitted: Sequence[str] | str | None, findings: Findings
) -> _Names:
    """The symbols or timeframes to use: the submission's, else the file's. None when they are wrong."""
    path = (*_PATH, plural)
    singular = keys[1].name
    section = Section(path)
    if entry is not None:
        section = read(entries(entry.value, path, findings), path, keys, findings)
        _check_mode(section, singular, findings)
    elif submitted is None:
        findings.wrong(path, f"no {singular} is given", f"for example {plural}: {{mode: single, {singular}: ...}}")
    if submitted is not None:
        given = [submitted] if isinstance(submitted, str) else list(submitted)
        overriding = read({"list": Entry(given, (plural,))}, (), keys, findings)
        return _Names(overriding["list"] or (), (plural,), section)
    if section["list"]:
        return _Names(section["list"], section.where("list"), section)
    return _Names((section[singular],) if section[singular] else (), section.where(singular), section)


def _check_mode(section: Section, singular: str, findings: Findings) -> None:
    several = section["list"] or ()
    match singular in section.given, "list" in section.given:
        case True, True:
            findings.wrong(section.where("list"), f"both {singular!r} and 'list' are given", "keep one of the two")
        case False, False if not section.is_wrong:
            findings.wrong((*section.path, singular), f"no {singular} is given", f"give {singular!r} or 'list'")
    if section["mode"] == "single" and len(several) > 1:
        findings.wrong(section.where("mode"), f"'single' contradicts a list of {len(several)}", "use mode: multi")


def _base(timeframes: _Names, submission: Submission, findings: Findings) -> str:
    """The timeframe whose bars are the samples: as given, else the shortest; empty when nothing is right."""
    base: str | None = timeframes.section["base_timeframe"]
    if not timeframes.values or base in timeframes.values:
        return base or ""
    where = timeframes.section.where("base_timeframe")
    if base is not None and submission.timeframes is None:
        findings.wrong(where, f"{base!r} is not among the timeframes", one_of(timeframes.values))
    elif base is not None:
        findings.warn(where, f"{base!r} has no effect: the submission's timeframes win and do not contain it")
    return min(timeframes.values, key=TIMEFRAMES.index)


def _dates(
    parts: dict[str, Entry | None], submission: Submission, findings: Findings
) -> tuple[datetime | None, datetime | None]:
    path = (*_PATH, "date_range")
    inside = parts["date_range"]
    within = entries(inside.value, path, findings) if inside is not None and inside.value is not None else {}
    beside = {name: entry for name in ("start_date", "end_date") if (entry := parts[name]) is not None}
    dates = read_overlaid(within or {}, beside, path, DATE_RANGE, findings)
    submitted = {"start": Entry(submission.start, ("start",)), "end": Entry(submission.end, ("end",))}
    overriding = read(submitted, (), DATE_RANGE, findings)
    start, end = (overriding[name] or dates[name] for name in ("start", "end"))
    if start and end and start > end:
        where = overriding.where("end") if overriding["end"] else dates.where("end")
        if not overriding["end"] and overriding["start"]:
            where = overriding.where("start")
        problem = f"the end, {end:%Y-%m-%d}, is before the start, {start:%Y-%m-%d}"
        findings.wrong(where, problem, "an end after the start")
    return start, end
