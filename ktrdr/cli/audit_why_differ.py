"""`ktrdr audit why-differ`: why two jobs have different results. Imports click; the client when it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.job_ids import full_job_id
from ktrdr.cli.options import complete_job_ids, connect_to, json_option, url_option
from ktrdr.cli.output import put, put_heading, put_json, put_table, say
from ktrdr.cli.retries import follow_option, tell_submitted
from ktrdr.sentences import words

if TYPE_CHECKING:
    from ktrdr.api.audit_differences import ComparisonView, MetricView

_WIDEST_VALUE = 48
_MOST_FACTS = 8
#: Metrics of single classes, and what the model is compared with.
_DETAILS = ("classes.", "no_skill", "trading.buy_and_hold")
_REACHES = {
    "weights": "weights",
    "metrics": "metrics only",
    "files": "names in the files only",
    "nothing": "nothing",
}


@click.command("why-differ")
@click.argument("a", metavar="A", shell_complete=complete_job_ids)
@click.argument("b", metavar="B", shell_complete=complete_job_ids)
@click.option("--counterfactual", "cause", metavar="CAUSE", help="Submit A with B's value of this cause instead.")
@follow_option
@url_option
@json_option
def why_differ(*, a: str, b: str, cause: str | None, follow: bool, url: str | None, as_json: bool) -> None:
    """Says why job B has another result than job A.

    Everything that was not the same for both and that a result can depend on, in the order in which it acts; the first
    stage and the first epoch that differ; and the metrics side by side. Causes marked with * can be tried: with
    --counterfactual A is trained once more with B's value of that one.

    \b
    Examples:
      ktrdr audit why-differ 3f2a9c1b 77aa01ce
      ktrdr audit why-differ 3f2a9c1b 77aa01ce --json | jq -r '.causes[].path'
      ktrdr audit why-differ 3f2a9c1b 77aa01ce --counterfactual strategy.training.epochs --follow
    """
    if follow and cause is None:
        raise click.UsageError("--follow needs --counterfactual: without it there is nothing to watch")
    with connect_to(url) as client:
        full_a, full_b = full_job_id(client, a), full_job_id(client, b)
        if cause is not None:
            job = client.counterfactual(full_a, of=full_b, cause=cause)
            tell_submitted(client, job, follow=follow, as_json=as_json)
            if not follow:
                say(f"  then see what it did: ktrdr audit why-differ {full_a} {job['id']}")
            return
        comparison = client.why_differ(full_a, full_b)
    if as_json:
        put_json(comparison)
    else:
        put_comparison(comparison)


def put_comparison(comparison: ComparisonView) -> None:
    """The comparison in words and tables."""
    put(comparison["sentence"])
    for note in comparison["notes"]:
        put(f"  {note}")
    if comparison["causes"]:
        put_heading("what was not the same")
        put_table(
            ("", "cause", "A", "B", "can change"),
            [
                ("*" if one["can_be_set"] else "", one["path"], *_values(one), _REACHES.get(one["reach"], one["reach"]))
                for one in comparison["causes"]
            ],
        )
    if stage := comparison["first_stage"]:
        put_heading(f"the first stage that found something else: {words(stage['name'])} (stage {stage['number']})")
        shown = stage["facts"][:_MOST_FACTS]
        put_table(("fact", "A", "B"), [(one["path"], *_values(one)) for one in shown])
        if left_out := len(stage["facts"]) - len(shown) + stage["left_out"]:
            put(f"and {left_out} more")
    if comparison["epochs_compared"]:
        put_heading("weights, epoch by epoch")
        first = comparison["first_epoch"]
        number = comparison["epochs_compared"]
        put(
            f"they differ from epoch {first['epoch']} of {number} on: {first['a'][:12]} and {first['b'][:12]}"
            if first
            else f"equal in all {number} epochs that both have"
        )
    if metrics := _telling(comparison["metrics"]):
        put_heading("metrics of the test part")
        put_table(
            ("symbol", "metric", "A", "B", "B - A"),
            [(one["symbol"] or "all", one["metric"], *map(_number, _numbers(one))) for one in metrics],
        )


def _telling(metrics: Sequence[MetricView]) -> list[MetricView]:
    """Those that differ and say what the model is worth; --json has the others too."""
    is_one_symbol = len({one["symbol"] for one in metrics}) == 2  # itself, and all symbols together
    return [
        one
        for one in metrics
        if one["difference"] != 0
        and not one["metric"].startswith(_DETAILS)
        and not (is_one_symbol and one["symbol"] is not None)
    ]


def _numbers(metric: MetricView) -> tuple[float | None, float | None, float | None]:
    return metric["a"], metric["b"], metric["difference"]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _values(found: Mapping[str, Any]) -> tuple[str, str]:
    return _shown(found, "a"), _shown(found, "b")


def _shown(found: Mapping[str, Any], which: str) -> str:
    if which not in found:
        return "(none)"
    value = found[which]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDEST_VALUE else text[: _WIDEST_VALUE - 1] + "…"
