"""The service itself: what it has stored, who works for it, what is set, and whether it can work.

Imports the client's own parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrdr.client.calls import Call, as_json, as_text, given, part, path
from ktrdr.client.operations.jobs import strategy_source

if TYPE_CHECKING:
    from ktrdr.api.service_settings import SettingsView
    from ktrdr.api.workers import WorkerView

_READY_SECONDS = 10.0


def validate(strategy: str | Path | Mapping[str, Any], *, strict: bool = False) -> Call[dict[str, Any]]:
    """Everything that is wrong with a strategy file (`valid`, `errors`, `warnings`), and what it means."""
    body = {"strategy": strategy_source(strategy), "strict": strict}
    return Call(method="POST", path=path("strategies"), json=body, read=as_json)


def strategies() -> Call[dict[str, list[str]]]:
    """The names of `stored` strategies and of the `samples` that come with ktrdr."""
    return Call(method="GET", path=path("strategies"), read=as_json)


def strategy(name: str) -> Call[str]:
    """A stored or sample strategy as it was written."""
    return Call(method="GET", path=path("strategies", name), read=as_text)


def put_strategy(name: str, source: str) -> Call[dict[str, Any]]:
    """Keeps a strategy file under its name."""
    return Call(method="PUT", path=path("strategies", name), json={"source": source}, read=as_json)


def datasets() -> Call[list[dict[str, Any]]]:
    """Every symbol and timeframe with prices, and every context series."""
    return Call(method="GET", path=path("datasets"), read=part("datasets"))


def import_prices(
    data: bytes,
    *,
    filename: str,
    symbol: str | None = None,
    timeframe: str | None = None,
    timezone: str | None = None,
    date_format: str | None = None,
    adjust: bool = False,
) -> Call[dict[str, Any]]:
    """Imports the content of a price file, all of it or nothing: the new `datasets`, and `notes` for people."""
    query = given(
        filename=filename, symbol=symbol, timeframe=timeframe, timezone=timezone, date_format=date_format,
        adjust=adjust,
    )  # fmt: skip
    return Call(method="PUT", path=path("datasets"), params=query, content=data, read=as_json)


def import_series(
    data: bytes,
    *,
    filename: str,
    series: str,
    frequency: str,
    column: str | None = None,
    timezone: str | None = None,
    date_format: str | None = None,
) -> Call[dict[str, Any]]:
    """Imports the content of a file of values as the context series `series`; answers as `import_prices` does."""
    query = given(
        filename=filename, series=series, frequency=frequency, column=column, timezone=timezone,
        date_format=date_format,
    )  # fmt: skip
    return Call(method="PUT", path=path("datasets"), params=query, content=data, read=as_json)


def workers() -> Call[list[WorkerView]]:
    """Every worker: alive or lately gone, on which device, busy with what."""
    return Call(method="GET", path=path("workers"), read=part("workers"))


def settings() -> Call[SettingsView]:
    """What is set while the service runs, by whom and since when."""
    return Call(method="GET", path=path("settings"), read=as_json)


def change_settings(changes: Mapping[str, Any]) -> Call[SettingsView]:
    """Sets what is named (`default_target`, `fair_by`, `caps`); None goes back to the default."""
    return Call(method="PATCH", path=path("settings"), json=dict(changes), read=as_json)


def ready() -> Call[dict[str, Any]]:
    """Whether the service can do its work: `status` is `ok` or `unavailable`, and `checks` say why."""
    return Call(method="GET", path="/readyz", read=as_json, reads_refusals=True, timeout=_READY_SECONDS)
