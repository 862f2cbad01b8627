"""What a model reached on the test data, beside no skill and beside holding. Imports this package's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ktrdr.cli.output import put, put_table

_NO_SKILL = "no_skill_"
_TRADING = ("trades", "net return", "Sharpe", "drawdown", "exposure")


def put_metrics(metrics: Mapping[str, Any], symbol_metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """The metrics with a counterpart without skill and the result as trades, overall and by symbol; the warnings."""
    rows = [
        (symbol, name, shown(value, name), shown(baseline, name))
        for symbol, of in (("all", metrics), *symbol_metrics.items())
        for name, value, baseline in compared(of)
    ]
    put_table(("symbol", "test metric", "model", "without skill"), rows, empty="there are no test metrics")
    traded = [(symbol, of["trading"]) for symbol, of in (("all", metrics), *symbol_metrics.items()) if "trading" in of]
    if traded:
        put_table(("symbol", *_TRADING, "buy and hold"), [(symbol, *_trading(of)) for symbol, of in traded])
    for warning in metrics.get("warnings", ()):
        put(f"warning: {warning}")


def _trading(of: Mapping[str, Any]) -> tuple[str, ...]:
    sharpe = "-" if of["sharpe"] is None else f"{of['sharpe']:.2f}"
    net, drawdown, exposure = (f"{of[name]:.1%}" for name in ("net_return", "max_drawdown", "exposure"))
    return str(of["trades"]), net, sharpe, drawdown, exposure, f"{of['buy_and_hold_return']:.1%}"


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
