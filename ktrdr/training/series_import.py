"""Values as people have them, in CSV or Parquet, to a valid value series. Imports what the import of prices has.

Nothing is repaired. Rows without a value, as some providers write for holidays, are left out and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd

from ktrdr.training.price_import import has_decimal_comma, is_blank, numbers_of, oldest_first, row_name
from ktrdr.training.price_table import Table, fault, read_table
from ktrdr.training.price_times import read_times
from ktrdr.training.prices import spacing
from ktrdr.training.series import validate
from ktrdr.training.strategy.names import SERIES_PATTERN
from ktrdr.training.strategy.sections.context import FREQUENCIES, SYNONYMS
from ktrdr.training.table_forms import values
from ktrdr.training.timeframes import usual_minutes


@dataclass(frozen=True, slots=True)
class ImportedSeries:
    frame: pd.DataFrame
    #: In the words of the grammar.
    frequency: str
    #: What was left out, turned round or assumed, in sentences.
    notes: list[str]


def read_series(
    data: bytes,
    *,
    name: str,
    frequency: str,
    column: str | None = None,
    timezone: str = "UTC",
    date_format: str | None = None,
) -> ImportedSeries:
    """The value series in the bytes of a CSV (also .gz) or Parquet file.

    `column` names the column of the values, where there are several. The time of a row is the beginning of the period
    that its value is of. Raises `InvalidInputError` with the numbers of the offending rows, and when the rows are
    further apart than `frequency` says: their values would count as known before their period is over.
    """
    frequency = SYNONYMS.get(frequency, frequency)
    if frequency not in FREQUENCIES:
        known = f"one of {', '.join((*FREQUENCIES, *SYNONYMS))}"
        raise fault(f"{frequency!r} is no frequency", known, "frequency")
    if not re.fullmatch(SERIES_PATTERN, name):
        raise fault(f"{name!r} is no name of a series", "1 to 64 letters, digits and . _ ^ = -", "series")
    table = read_table(data, values(column))
    notes = list(table.notes)
    table = _without_blanks(table, notes)
    times = read_times(table, timezone, date_format)
    numbers = numbers_of(table, "value", has_decimal_comma(table, ("value",)))
    rows = oldest_first(times, np.arange(len(times)), name, notes)
    frame = pd.DataFrame({"value": numbers[rows]}, index=times[rows])
    validate(frame, row_name=row_name(table, rows, frame.index))
    _check_spacing(frame, frequency)
    return ImportedSeries(frame, frequency, notes)


def _without_blanks(table: Table, notes: list[str]) -> Table:
    blank = is_blank(table.columns["value"]) | (table.columns["value"].astype(str).str.strip() == ".").to_numpy()
    if not blank.any():
        return table
    if blank.all():
        raise fault("no row has a value", "a number in some rows", "value")
    notes.append(f"{int(blank.sum())} rows without a value are left out")
    kept = ~blank
    columns = {role: column[kept].reset_index(drop=True) for role, column in table.columns.items()}
    clock = None if table.clock is None else table.clock[kept].reset_index(drop=True)
    return replace(table, columns=columns, clock=clock, numbers=table.numbers[kept])


def _check_spacing(frame: pd.DataFrame, frequency: str) -> None:
    if len(frame) < 2:
        return
    usual = spacing(frame)
    minutes, rest = divmod(usual, timedelta(minutes=1))
    if rest or minutes not in usual_minutes(frequency):
        fitting = [one for one in FREQUENCIES if not rest and minutes in usual_minutes(one)]
        fix = f"the frequency {fitting[0]}" if fitting else f"values of one of {', '.join(FREQUENCIES)}"
        raise fault(f"most values are {usual} apart, which contradicts the frequency {frequency!r}", fix, "frequency")
