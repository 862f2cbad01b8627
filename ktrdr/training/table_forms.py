"""What the files of an import hold: which headers mean what, and which there must be. Imports the standard library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Role → header names, reduced to lower-case letters and digits, the better one first.
ROLES: dict[str, tuple[str, ...]] = {
    "time": ("datetime", "timestamp", "opentime", "time", "date", "gmttime", "timeutc", "dateutc", "unix", "index", ""),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closelast", "closeprice", "last", "price", "c"),
    # MetaTrader's VOL is that of the exchange and 0 where there is none, so its TICKVOL is better.
    "volume": ("volume", "tickvolume", "tickvol", "vol", "v"),
    "adjusted": ("adjclose", "adjustedclose", "closeadj", "closeadjusted"),
    "symbol": ("symbol", "ticker", "instrument", "name"),
}
#: The same of a file of values.
VALUE_ROLES: dict[str, tuple[str, ...]] = {
    "time": (*ROLES["time"], "observationdate", "period", "timeperiod", "month", "quarter", "week"),
    "value": ("value", "obsvalue", "close", "last", "price"),
}
VALUES = ("time", "value")


@dataclass(frozen=True, slots=True)
class Form:
    """What a file holds."""

    roles: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]
    #: Roles that a line must have to be taken for the header.
    marks: frozenset[str]
    #: The same for people, and a header with all of it.
    wanted: str
    example: str
    #: Whether a lone column beside the time is that of the values, whatever its name.
    takes_lone_value: bool = False


PRICES = Form(
    ROLES,
    ("time", "open", "high", "low", "close"),
    frozenset({"open", "high", "low"}),
    "open, high, low and close",
    "Date, Open, High, Low, Close, Volume",
)


def values(column: str | None) -> Form:
    """A file of a time and a value in each row; `column` names that of the values."""
    roles = dict(VALUE_ROLES) if column is None else VALUE_ROLES | {"value": (reduced(column),)}
    wanted = f"a time and {column or 'a value'}"
    return Form(roles, VALUES, frozenset(VALUES), wanted, "Date, Value", takes_lone_value=column is None)


def reduced(header: str) -> str:
    """A header in lower-case letters and digits."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^Unnamed: \d+", "", header).lower())
