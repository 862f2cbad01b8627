"""Pictures of a report as SVG whose colours are classes, so that they follow the theme. Imports markupsafe.

All measures are in units of the picture's box; nothing is styled inline, because the pages allow no inline style.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

#: More points than this cannot be told apart in a picture.
_POINTS = 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 10.0, 26.0


class Axes:
    """A box with an x and a y axis: places in the data to places in the picture, and what is drawn there."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        width: int = 640,
        height: int = 260,
        left: float = _LEFT,
    ) -> None:
        self.width, self.height, self.left = width, height, left
        self._x, self._y = _widened(x), _widened(y)
        self._parts: list[str] = []

    def x(self, value: float) -> float:
        low, high = self._x
        return self.left + (value - low) / (high - low) * (self.width - self.left - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return self.height - _BOTTOM - (value - low) / (high - low) * (self.height - _TOP - _BOTTOM)

    def add(self, element: str) -> None:
        self._parts.append(element)

    def grid(self, y_text: str = "{:g}", x_ticks: Sequence[tuple[float, str]] = ()) -> None:
        """Horizontal lines with their values, and what stands below the x axis."""
        for value in ticks(*self._y):
            at = self.y(value)
            self.add(f'<path class="grid-line" d="M{self.left:.1f} {at:.1f}H{self.width - _RIGHT:.1f}"/>')
            text = y_text.format(0.0 if value == 0 else value)
            self.add(f'<text x="{self.left - 8:.1f}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
        for value, text in x_ticks:
            at = self.x(value)
            self.add(f'<text x="{at:.1f}" y="{self.height - 6}" text-anchor="middle">{escape(text)}</text>')

    def line(self, xs: Sequence[float], ys: Sequence[float], kind: str) -> None:
        xs, ys = thinned(xs, ys)
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        self.add(f'<polyline class="{kind}" points="{points}"/>')

    def svg(self, label: str) -> Markup:
        return Markup(
            f'<svg class="picture" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(label)}">'
            f"{''.join(self._parts)}</svg>"
        )


def equity(curves: Mapping[str, Mapping[str, Any]]) -> Markup:
    """The capital over the test part: by the model, and by buying and holding."""
    times = {
        name: [datetime.fromisoformat(time).timestamp() for time in curve["times"]] for name, curve in curves.items()
    }
    every_time = [time for series in times.values() for time in series]
    values = [value for curve in curves.values() for value in curve["equity"]]
    axes = Axes((min(every_time), max(every_time)), (min(values), max(values)), width=960, height=300)
    axes.grid("{:.2f}", _dates(min(every_time), max(every_time)))
    for name, kind in (("buy_and_hold", "line s8"), ("model", "line s1")):
        axes.line(times[name], curves[name]["equity"], kind)
    ends = {name: curve["equity"][-1] for name, curve in curves.items()}
    return axes.svg(f"Capital: the model ends at {ends['model']:.3f}, buying and holding at {ends['buy_and_hold']:.3f}")


def calibration(bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Share of right answers over confidence, each point as large as it has samples, beside the diagonal."""
    filled = [one for one in bins if one["samples"]]
    most = max(one["samples"] for one in filled)
    axes = Axes((0.0, 1.0), (0.0, 1.0), width=420, height=320)
    axes.grid("{:.0%}", [(value, f"{value:.0%}") for value in (0.0, 0.25, 0.5, 0.75, 1.0)])
    axes.line([0, 1], [0, 1], "guide")
    axes.line([one["confidence"] for one in filled], [one["accuracy"] for one in filled], "line s1")
    for one in filled:
        radius = 2.5 + 6 * math.sqrt(one["samples"] / most)
        title = f"confidence {one['confidence']:.1%}: {one['accuracy']:.1%} right of {one['samples']:,}"
        axes.add(
            f'<circle class="fill1" cx="{axes.x(one["confidence"]):.1f}" cy="{axes.y(one["accuracy"]):.1f}" '
            f'r="{radius:.1f}"><title>{title}</title></circle>'
        )
    return axes.svg("Share of right answers by confidence")


def importance(inputs: Sequence[Mapping[str, Any]]) -> Markup:
    """What the score loses without each input, with its deviation; the most needed one on top."""
    names = max((len(one["input"]) for one in inputs), default=0)
    left = min(max(60.0, names * 6.8 + 12), 300.0)
    low = min([0.0, *(one["score_drop"] - one["deviation"] for one in inputs)])
    high = max([1e-9, *(one["score_drop"] + one["deviation"] for one in inputs)])
    axes = Axes((low, high), (0.0, 1.0), width=640, height=round(_TOP + _BOTTOM + 24 * len(inputs)), left=left)
    for value in ticks(low, high, 5):
        at = axes.x(value)
        axes.add(f'<path class="grid-line" d="M{at:.1f} {_TOP}V{axes.height - _BOTTOM}"/>')
        axes.add(f'<text x="{at:.1f}" y="{axes.height - 6}" text-anchor="middle">{value:.3g}</text>')
    for number, one in enumerate(inputs):
        top = _TOP + 24 * number + 4
        begin, end = sorted((axes.x(0.0), axes.x(one["score_drop"])))
        axes.add(f'<text x="{left - 8:.1f}" y="{top + 12:.1f}" text-anchor="end">{escape(one["input"])}</text>')
        axes.add(f'<rect class="fill1" x="{begin:.1f}" y="{top:.1f}" width="{end - begin:.1f}" height="16"/>')
        low_end, high_end = axes.x(one["score_drop"] - one["deviation"]), axes.x(one["score_drop"] + one["deviation"])
        axes.add(f'<path class="whisker" d="M{low_end:.1f} {top + 8:.1f}H{high_end:.1f}"/>')
    return axes.svg("Importance of the inputs")


def memberships(histogram: Mapping[str, Any]) -> Markup:
    """The memberships of a fuzzy set over the histogram of its indicator."""
    edges, counts = histogram["edges"], histogram["counts"]
    axes = Axes((edges[0], edges[-1]), (0.0, 1.0), width=420, height=230)
    axes.grid("{:.1f}", [(value, f"{value:.4g}") for value in ticks(edges[0], edges[-1], 5)])
    most = max([1, *counts])
    bottom = axes.y(0.0)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            top = axes.y(count / most)
            axes.add(
                f'<rect class="histogram" x="{axes.x(low):.1f}" y="{top:.1f}" '
                f'width="{axes.x(high) - axes.x(low):.1f}" height="{bottom - top:.1f}"/>'
            )
    for number, curve in enumerate(histogram["curves"].values()):
        axes.line(histogram["curve_values"], curve, f"line s{number % 8 + 1}")
    return axes.svg(f"Memberships of {histogram['indicator']}: {', '.join(histogram['curves'])}")


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values between two others, about so many."""
    low, high = _widened((low, high))
    rough = (high - low) / wanted
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def thinned(xs: Sequence[float], ys: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Of many points the lowest and the highest of each stretch, so that no peak is lost; and the last."""
    if len(xs) <= _POINTS:
        return xs, ys
    kept: list[int] = []
    stretches = _POINTS // 2
    for number in range(stretches):
        places = range(number * len(xs) // stretches, (number + 1) * len(xs) // stretches)
        kept += sorted({min(places, key=ys.__getitem__), max(places, key=ys.__getitem__)})
    kept = sorted({0, *kept, len(xs) - 1})
    return [xs[place] for place in kept], [ys[place] for place in kept]


def _widened(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    return bounds if high > low else (low - max(abs(low), 1.0) * 0.05, low + max(abs(low), 1.0) * 0.05)


def _dates(first: float, last: float) -> list[tuple[float, str]]:
    """Some moments between two, as short as they can be told apart."""
    form = "%Y-%m" if last - first > 200 * 86_400 else "%m-%d" if last - first > 5 * 86_400 else "%m-%d %H:%M"
    steps = 6
    moments = [first + (last - first) * (number + 0.5) / steps for number in range(steps)]
    return [(moment, datetime.fromtimestamp(moment, UTC).strftime(form)) for moment in moments]
