"""The pictures of a report as inline SVG. Imports matplotlib and numpy.

Their lines and letters take the colour of the page's text, so they can be read in the light and in the dark. What a
colour stands for is said in the page, not in the picture.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

#: Readable on white and on black.
COLORS = ("#3b82c4", "#d97a2b", "#2f9e6e", "#c2527b", "#8a6fd1", "#a38a2c", "#3aa0a8", "#8a8f98")
BLUE, ORANGE, GREEN, GREY = COLORS[0], COLORS[1], COLORS[2], COLORS[7]
#: Stands for the colour of the page's text until the SVG is written.
_TEXT = "#010203"
_STYLE: Any = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "ktrdr",  # equal pictures have equal bytes
    "text.parse_math": False,  # a name may hold a dollar
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.labelcolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "grid.color": GREY,
    "grid.alpha": 0.25,
}


def losses(history: Sequence[Mapping[str, Any]], best_epoch: int) -> str:
    """Loss of the train and the validation part by epoch, and the epoch whose weights were kept."""
    with _style():
        figure, axes = _figure(6.4, 3.2)
        epochs = [epoch["epoch"] for epoch in history]
        marker = "o" if len(history) == 1 else None
        axes.plot(epochs, [epoch["train_loss"] for epoch in history], color=BLUE, marker=marker)
        axes.plot(epochs, [epoch["validation_loss"] for epoch in history], color=ORANGE, marker=marker)
        axes.axvline(best_epoch, color=GREY, linewidth=1, linestyle=":")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _svg(figure, "losses")


def calibration(bins: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy over confidence, each point as large as it has samples, beside the diagonal where both are equal."""
    with _style():
        figure, axes = _figure(4.2, 3.8)
        filled = [one for one in bins if one["samples"]]
        most = max(one["samples"] for one in filled)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        confidences, accuracies = ([one[name] for one in filled] for name in ("confidence", "accuracy"))
        axes.plot(confidences, accuracies, color=BLUE, linewidth=1)
        axes.scatter(confidences, accuracies, [20 + 180 * one["samples"] / most for one in filled], color=BLUE)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("confidence")
        axes.set_ylabel("share of right answers")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        return _svg(figure, "calibration")


def equity(curves: Mapping[str, Mapping[str, Any]]) -> str:
    """The capital over the test part: by the model, and by buying and holding."""
    with _style():
        figure, axes = _figure(9.6, 3.6)
        # Dashed and above, so that both are seen where they are the same.
        for name, line in (("model", {"color": BLUE}), ("buy_and_hold", {"color": GREY, "linestyle": (0, (4, 2))})):
            times = np.array([time.removesuffix("Z") for time in curves[name]["times"]], dtype="datetime64[s]")
            axes.plot(times, curves[name]["equity"], linewidth=1.3, **line)
        axes.axhline(1.0, color=GREY, linewidth=0.6)
        locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.set_ylabel("capital")
        return _svg(figure, "equity")


def importance(inputs: Sequence[Mapping[str, Any]], label: str) -> str:
    """What the score loses without each input, with its deviation over the repeats; the most needed one on top."""
    with _style():
        figure, axes = _figure(6.4, 0.9 + 0.3 * len(inputs), has_names=True)
        shown = inputs[::-1]
        axes.barh(
            range(len(shown)),
            [one["score_drop"] for one in shown],
            xerr=[one["deviation"] for one in shown],
            color=BLUE,
            height=0.6,
            error_kw={"ecolor": _TEXT, "elinewidth": 0.8},
        )
        axes.axvline(0.0, color=_TEXT, linewidth=0.6)
        axes.set_yticks(range(len(shown)), [one["input"] for one in shown])
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(label)
        return _svg(figure, "importance")


def memberships(histogram: Mapping[str, Any], name: str) -> str:
    """The memberships of a fuzzy set over the histogram of its indicator; their colours go by `COLORS` in order."""
    with _style():
        figure, axes = _figure(5.2, 2.8)
        edges, counts = histogram["edges"], np.asarray(histogram["counts"], dtype=float)
        axes.stairs(counts / max(counts.max(), 1.0), edges, color=GREY, alpha=0.35, fill=True)
        for number, curve in enumerate(histogram["curves"].values()):
            axes.plot(histogram["curve_values"], curve, color=COLORS[number % len(COLORS)])
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.05)
        axes.set_ylabel("membership")
        axes.set_xlabel(histogram["indicator"])
        return _svg(figure, name)


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(_STYLE)


def _figure(width: float, height: float, *, has_names: bool = False) -> tuple[Figure, Axes]:
    """A picture of so many inches. Finding its margins draws it twice, so that is done only for an axis of names."""
    figure = Figure(figsize=(width, height), layout="constrained" if has_names else None)
    axes = figure.subplots()
    if not has_names:
        figure.subplots_adjust(left=0.8 / width, right=1 - 0.24 / width, bottom=0.5 / height, top=1 - 0.12 / height)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """The picture as an element of a page; `name` keeps its identifiers apart from those of the other pictures."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_TEXT, "currentColor")
    svg = re.sub(r'(?<= id=")|(?<=url\(#)|(?<=href="#)', f"{name}-", svg)
    return re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
