"""An explanation of a model's decision as text. Imports this package's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ktrdr.cli.output import bar_time, put, put_heading, put_table

#: Features that did not fire are left out when they contribute less than this share of the largest contribution.
_LEAST_SHARE = 0.02


def put_explanation(explanation: Mapping[str, Any]) -> None:
    """The bar with its contributions and rules, then the rules of the model."""
    bar, model = explanation["bar"], explanation["model"]
    put_heading(f"{explanation['symbol']}, {bar_time(bar['time'])}: {bar['decision']}")
    put(_answer(bar))
    put_table(("input", "indicator", "membership", "fires", "contribution"), list(_rows(bar)))
    put(_sum(bar))
    put_heading("Rules at this bar")
    _put_rules([rule["text"] for rule in bar["rules"]])
    put_heading(f"The strongest rules over {model['bars']} bars from {bar_time(model['first'])}")
    _put_rules([f"{rule['text']}, fires at {rule['support']:.0%} of the bars" for rule in model["rules"]])


def _answer(bar: Mapping[str, Any]) -> str:
    if "forecast" in bar:
        return f"it forecasts {bar['forecast']:+.5f}"
    probabilities = bar["probabilities"]
    answer, other = bar["answer"], bar["runner_up"]
    return f"most probable is {answer} ({probabilities[answer]:.1%}), then {other} ({probabilities[other]:.1%})"


def _rows(bar: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    least = _LEAST_SHARE * max(abs(of["contribution"]) for one in bar["inputs"] for of in one["features"])
    for one in bar["inputs"]:
        for feature in sorted(one["features"], key=lambda feature: -abs(feature["contribution"])):
            if feature["fires"] or abs(feature["contribution"]) >= least:
                value = one["indicator_value"]
                indicator = "" if value is None else f"{one['indicator']} = {value:.5g}"
                membership = (feature["membership"] or "") + (f", {feature['lag']} before" if feature["lag"] else "")
                degree = f"{feature['value']:.2f}" if feature["fires"] else ""
                yield one["input"], indicator, membership, degree, _signed(feature["contribution"])


def _sum(bar: Mapping[str, Any]) -> str:
    what = "forecast" if "forecast" in bar else f"logit of {bar['answer']} less that of {bar['runner_up']}"
    return (
        f"all contributions sum to {_signed(bar['explained'])}: the {what} is {_signed(bar['value'])} here and "
        f"{_signed(bar['value_at_mean_input'])} at the mean input of the train part"
    )


def _put_rules(texts: list[str]) -> None:
    for text in texts or ["none: no membership that fires speaks for an answer"]:
        put(text)


def _signed(number: float) -> str:
    return f"{number:+.3f}" if abs(number) >= 0.01 or number == 0 else f"{number:+.2g}"
