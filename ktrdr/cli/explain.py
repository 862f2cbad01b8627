"""`ktrdr explain`: why a model says what it says. Imports click; the client when it runs."""

from __future__ import annotations

import click

from ktrdr.cli.job_ids import full_job_id
from ktrdr.cli.options import connect_to, id_argument, json_option, url_option
from ktrdr.cli.output import put_json, say


@click.command()
@id_argument
@click.option("--symbol", help="Whose stored prices.  [default: the job's first symbol]")
@click.option("--at", metavar="TIME", help="The bar that is open at this moment (UTC).  [default: the newest]")
@click.option(
    "--last",
    type=click.IntRange(1, 2000),
    default=200,
    show_default=True,
    help="How many bars up to that one say how the model uses its inputs.",
)
@url_option
@json_option
def explain(job_id: str, *, symbol: str | None, at: str | None, last: int, url: str | None, as_json: bool) -> None:
    """Explains a decision of a completed job's model, and the model itself, in fuzzy rules.

    Shows which memberships fired at a bar and what each contributed to the answer (by integrated gradients: the
    contributions sum to how much the model prefers its answer, beyond what it says of an average bar), and the rules
    that the model follows most over the newest bars.

    \b
    Examples:
      ktrdr explain 3f2a9c1b
      ktrdr explain 3f2a9c1b --symbol AAPL --at 2012-11-14
      ktrdr explain 3f2a9c1b --last 1000 --json | jq '.model.rules[].text'
    """
    from ktrdr.cli.explanation import put_explanation

    with connect_to(url) as client:
        job = client.job(full_job_id(client, job_id))
        chosen = symbol or job["symbols"][0]
        explanation = client.explain(job["id"], symbol=chosen, at=at, last=last)
    if as_json:
        put_json(explanation)
        return
    put_explanation(explanation)
    others = [one for one in job["symbols"] if one != chosen]
    if symbol is None and others:
        say(f"  the job has more symbols: --symbol {' or '.join(others)}")
