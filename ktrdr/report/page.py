"""The report's page: its figures in words and tables, its pictures between them. Imports jinja2 when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Metric → its name in the page, and how it is written.
_METRICS = {
    "accuracy": ("accuracy", "{:.1%}"),
    "balanced_accuracy": ("balanced accuracy", "{:.1%}"),
    "log_loss": ("log loss", "{:.4f}"),
    "expected_calibration_error": ("expected calibration error", "{:.1%}"),
    "mae": ("mean absolute error", "{:.5f}"),
    "rmse": ("root mean square error", "{:.5f}"),
    "r2": ("R²", "{:.4f}"),
    "sign_accuracy": ("sign accuracy", "{:.1%}"),
    "information_coefficient": ("information coefficient", "{:.3f}"),
}
#: Metric of the trades → its name in the page, how it is written, and its counterpart of buying and holding.
_TRADING = {
    "net_return": ("net return", "{:+.1%}", "buy_and_hold_return"),
    "sharpe": ("Sharpe ratio, annual", "{:.2f}", "buy_and_hold_sharpe"),
    "max_drawdown": ("largest drawdown", "{:.1%}", "buy_and_hold_max_drawdown"),
    "exposure": ("time with a position", "{:.0%}", None),
    "trades": ("trades", "{:,}", None),
    "turnover": ("turnover, in multiples of the capital", "{:.1f}", None),
}
#: Inputs in the picture of their importance.
_MOST_INPUTS = 20
_NONE = "–"  # noqa: RUF001  # a dash for people


def render(report: Mapping[str, Any], *, job_id: str, model_digest: str) -> str:
    """One HTML file that needs nothing else: no script, no font, no picture from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from ktrdr.report import plots

    environment = Environment(
        loader=PackageLoader("ktrdr.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["day"] = _day
    environment.filters["share"] = lambda value: written(value, "{:.1%}")
    metrics = report["metrics"]
    return environment.get_template("page.html").render(
        report=report,
        job_id=job_id,
        model_digest=model_digest,
        figures=figures(metrics),
        trading=trading(metrics["trading"]),
        by_symbol=by_symbol(report),
        confusion=confusion(metrics, report["classes"]),
        colors=plots.COLORS,
        blue=plots.BLUE,
        orange=plots.ORANGE,
        grey=plots.GREY,
        losses=plots.losses(report["history"], report["best_epoch"]),
        equity=plots.equity(report["equity"]),
        calibration=plots.calibration(report["reliability"]) if report["reliability"] else "",
        importance=plots.importance(
            report["importance"][:_MOST_INPUTS],
            "fall of the balanced accuracy" if report["classes"] else "rise of the RMSE",
        ),
        inputs_left_out=max(len(report["importance"]) - _MOST_INPUTS, 0),
        memberships=[
            (one, plots.memberships(one, f"memberships-{number}")) for number, one in enumerate(report["fuzzy_sets"])
        ],
    )


def figures(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value, and value without skill of each metric."""
    return [
        (words, written(metrics[name], form), written(metrics.get(f"no_skill_{name}"), form))
        for name, (words, form) in _METRICS.items()
        if name in metrics
    ]


def trading(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value, and value of buying and holding of each metric of the trades."""
    return [
        (words, written(metrics[name], form), written(metrics[other], form) if other else _NONE)
        for name, (words, form, other) in _TRADING.items()
    ]


def written(value: float | None, form: str) -> str:
    return _NONE if value is None else form.format(value).replace("-", "−")  # noqa: RUF001  # the sign itself


def by_symbol(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table that compares the symbols."""
    names = ("balanced_accuracy", "accuracy") if report["classes"] else ("rmse", "sign_accuracy")
    heads = ["symbol", "samples"]
    for name in names:
        heads += [_METRICS[name][0], "without skill"]
    heads += ["net return", "buy and hold", "trades"]
    rows = []
    for symbol, metrics in report["symbol_metrics"].items():
        row = [symbol, f"{metrics['samples']:,}"]
        for name in names:
            row += [written(metrics[key], _METRICS[name][1]) for key in (name, f"no_skill_{name}")]
        trades = metrics["trading"]
        row += [written(trades[key], "{:+.1%}") for key in ("net_return", "buy_and_hold_return")]
        rows.append([*row, f"{trades['trades']:,}"])
    return heads, rows


def confusion(metrics: Mapping[str, Any], classes: Sequence[str]) -> list[tuple[str, list[tuple[int, float]]]]:
    """Class → how many of its samples were taken for each class, and their share of it."""
    rows = metrics.get("confusion_matrix", [])
    return [
        (name, [(count, count / max(sum(row), 1)) for count in row]) for name, row in zip(classes, rows, strict=True)
    ]


def _day(instant: str) -> str:
    """The day of a moment, with the time if it is not midnight."""
    return instant[:10] if instant[11:19] in ("", "00:00:00") else f"{instant[:10]} {instant[11:16]}"
