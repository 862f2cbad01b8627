"""The times of a price import: a column of text or numbers to UTC instants, never by guessing. Imports pandas.

A form is used only when every row has it. Where day and month could be either, the import asks for `date_format`.
"""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ktrdr.training.price_table import Table, fault

_CLOCK = r"(?:[ T]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?)?"
_OFFSET = r" ?(?:Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)"
_YEAR_FIRST = rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}{_CLOCK}(?:{_OFFSET})?"
_YEAR_LAST = rf"\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{4}}{_CLOCK}"

#: Twelve-hour clocks, which ISO 8601 does not have.
_HALF_DAYS = ("%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M%p", "%Y-%m-%d %I:%M:%S%p")
#: Number of digits → what a whole column of such numbers means. Other numbers count from 1970.
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
#: Units of the time since 1970, each with the number below which it is meant: seconds reach to the year 5138.
_EPOCHS: tuple[tuple[Literal["s", "ms", "us", "ns"], int], ...] = (
    ("s", 10**11),
    ("ms", 10**14),
    ("us", 10**17),
    ("ns", 2**63),
)
#: Forms with the month in words, which cannot be mistaken.
_WORDED = ("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y")

_FORMAT_FIX = "give date_format, for example %d/%m/%Y or %m/%d/%Y"


def read_times(table: Table, timezone: str, date_format: str | None) -> pd.DatetimeIndex:
    """The instants at which the bars open. Raises `InvalidInputError`, with the rows that cannot be read."""
    column = table.columns["time"]
    table.refuse(column.isna().to_numpy(), column, "the time is blank", "a time in every row", "time")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _in_utc(column, column, table, timezone)
    text = column.astype(str).str.strip()
    if table.clock is not None:
        text = text + " " + table.clock.astype(str).str.strip()
    table.refuse((text == "").to_numpy(dtype=bool), text, "the time is blank", "a time in every row", "time")
    times = _read_text(text, table) if date_format is None else _by_format(text, date_format)
    fix = "dates of the calendar" if date_format is None else "the date_format that all rows have"
    table.refuse(times.isna().to_numpy(), text, "the time cannot be read", fix, "time")
    return _in_utc(times, text, table, timezone)


def _read_text(text: pd.Series, table: Table) -> pd.Series:
    """Times without an offset stay naive; with one, or counted from 1970, they are UTC."""
    if text.str.fullmatch(r"\d{8,19}(?:\.0+)?").all():
        return _by_digits(text.str.replace(r"\.0+$", "", regex=True))
    is_year_first, is_year_last = text.str.fullmatch(_YEAR_FIRST), text.str.fullmatch(_YEAR_LAST)
    if is_year_first.all():
        return _iso(text.str.replace(r"^(\d{4})[/.](\d{1,2})[/.]", r"\1-\2-", regex=True), table)
    if is_year_last.all():
        return _iso(_year_moved_first(text, table), table)
    for form in _WORDED:
        times = _by_format(text, form)
        if times.notna().all():
            return times
    known = is_year_first if is_year_first.any() else is_year_last
    table.refuse(~known.to_numpy(dtype=bool), text, "the time cannot be read", _FORMAT_FIX, "time")
    raise AssertionError("one of the rows above is of no known form")


def _by_format(text: pd.Series, form: str) -> pd.Series:
    try:
        return pd.to_datetime(text, format=form, errors="coerce", utc="%z" in form)
    except ValueError as error:
        raise fault(f"{form!r} is no date_format: {error}", "such as %d/%m/%Y", "date_format") from error


def _by_digits(text: pd.Series) -> pd.Series:
    lengths = text.str.len()
    form = _COMPACT.get(int(lengths.iloc[0]))
    if form is not None and (lengths == lengths.iloc[0]).all():
        times = _by_format(text, form)
        # Twelve digits may also be milliseconds of before 2001, which would be a date of the year 3000 or later.
        if form == _COMPACT[8] or times.dt.year.between(1900, 2200).all():
            return times
    counts = text.astype("float64")
    unit = next((unit for unit, limit in _EPOCHS if counts.max() < limit), None)
    return pd.to_datetime(text.astype("int64"), unit=unit, utc=True) if unit else pd.Series(pd.NaT, text.index)


def _iso(text: pd.Series, table: Table) -> pd.Series:
    has_offset = text.str.contains(rf":\d{{2}}(?:\.\d+)?{_OFFSET}$").to_numpy(dtype=bool)
    if has_offset.any():
        problem = "the time has no offset from UTC, though others have"
        table.refuse(~has_offset, text, problem, "an offset in every row or in none", "time")
        text = text.str.replace(r" ?(?:UTC|GMT)$", "Z", regex=True)
        return pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    if text.str.contains(r"[AaPp][Mm]$").any():
        readings = [_by_format(text, form) for form in _HALF_DAYS]
        return min(readings, key=lambda times: times.isna().sum())
    return pd.to_datetime(text, format="ISO8601", errors="coerce")


def _year_moved_first(text: pd.Series, table: Table) -> pd.Series:
    """Day and month in the order that the rows prove: a number above 12 is no month."""
    numbers = text.str.extract(r"^(\d{1,2})[-/.](\d{1,2})").astype("int64").to_numpy()
    first, second = numbers[:, 0], numbers[:, 1]
    if (first > 12).any() and (second > 12).any():
        wrong = (second > 12) if (first > 12).sum() > (second > 12).sum() else (first > 12)
        table.refuse(wrong, text, "day and month are in another order than in most rows", "one order", "time")
    if not (first > 12).any() and not (second > 12).any():
        raise fault(f"{text.iloc[0]!r} may begin with the day or the month, and no row decides it", _FORMAT_FIX, "time")
    order = r"\3-\2-\1" if (first > 12).any() else r"\3-\1-\2"
    return text.str.replace(r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", order, regex=True)


def _in_utc(times: pd.Series, text: pd.Series, table: Table, timezone: str) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(times, name="time")
    if index.tz is None:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError) as error:
            raise fault(f"{timezone!r} is no time zone", "for example UTC or America/New_York", "timezone") from error
        index = index.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
        problem = f"the local time is skipped or repeated by a clock change in {timezone}"
        table.refuse(np.asarray(index.isna()), text, problem, "export the times in UTC", "time")
    return index.tz_convert("UTC")
