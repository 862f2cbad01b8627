"""Submitting a training. Imports click; the client when the command runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from ktrdr.cli.options import (
    complete_strategies,
    complete_symbols,
    connect_to,
    json_option,
    split_list,
    target_option,
    url_option,
)
from ktrdr.cli.output import put, put_json, say


def read_labels(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _read_seconds(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Any:
    if given is None or given == "never":
        return given
    try:
        return float(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither a number nor 'never'") from None


@click.command()
@click.argument("strategy", metavar="FILE_OR_NAME", shell_complete=complete_strategies)
@click.option("--symbols", shell_complete=complete_symbols, help="Comma-separated, in place of the file's.")
@click.option("--timeframes", help="Comma-separated, in place of the file's.")
@click.option("--start", help="First day or moment of the data (UTC), in place of the file's.")
@click.option("--end", help="Last day or moment; a bare day counts to its end.")
@click.option("--seed", type=int, help="For a strategy that names none; equal seeds give equal models.")
@target_option
@click.option("--require-gpu", is_flag=True, help="Fail rather than run without a GPU.")
@click.option("--prefer-gpu", is_flag=True, help="Run on a GPU if one is free, else without, and say why.")
@click.option("--priority", type=int, help="-1000 to 1000; higher runs first.")
@click.option("--checkpoint-every-epochs", type=click.IntRange(1), metavar="N", help="Save a checkpoint after so many.")
@click.option(
    "--checkpoint-every-seconds",
    metavar="S",
    callback=_read_seconds,
    help="Save one at the first end of an epoch after so long, or never.  [default: 30]",
)
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", callback=read_labels, help="May be repeated.")
@click.option("--strict", is_flag=True, help="Count warnings about the strategy as faults.")
@click.option("--idempotency-key", help="The same key and content always give the same job.")
@click.option("--follow/--no-follow", default=False, help="Watch until the job ends; Ctrl-C only stops watching.")
@url_option
@json_option
def train(
    *,
    strategy: str,
    symbols: str | None,
    timeframes: str | None,
    start: str | None,
    end: str | None,
    seed: int | None,
    target: str | None,
    require_gpu: bool,
    prefer_gpu: bool,
    priority: int | None,
    checkpoint_every_epochs: int | None,
    checkpoint_every_seconds: float | Literal["never"] | None,
    labels: dict[str, str],
    strict: bool,
    idempotency_key: str | None,
    follow: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Trains a model by a strategy: a file, or the name of a stored or sample one.

    Prints the id of the new job. With --follow, shows its progress, and the exit code says how it ended.

    \b
    Examples:
      ktrdr train trend_follower --follow
      ktrdr train my_strategy.yaml --symbols AAPL,IBM --start 2005-01-01 --label desk=rates
      ktrdr train my_strategy.yaml --target host --prefer-gpu --checkpoint-every-epochs 5
      id=$(ktrdr train trend_follower) && ktrdr jobs follow "$id" --json
    """
    with connect_to(url) as client:
        job = client.submit(
            strategy_of(strategy),
            symbols=split_list(symbols),
            timeframes=split_list(timeframes),
            start=start,
            end=end,
            seed=seed,
            target=target,
            require_gpu=require_gpu,
            prefer_gpu=prefer_gpu,
            priority=priority,
            checkpoint_every_epochs=checkpoint_every_epochs,
            checkpoint_every_seconds=checkpoint_every_seconds,
            labels=labels,
            strict=strict,
            idempotency_key=idempotency_key,
        )
        for warning in client.job(job["id"])["submission"]["warnings"]:
            say(f"warning: {warning}")
        if follow:
            from ktrdr.cli.follow import follow_job

            raise click.exceptions.Exit(follow_job(client, job["id"], as_json=as_json))
    if as_json:
        put_json(job)
    else:
        put(job["id"])
        say(f"{job['name']} over {', '.join(job['symbols'])} waits for a worker")
        say(f"  watch it with: ktrdr jobs follow {job['id']}")


def strategy_of(given: str) -> str:
    """The text of the file, or the name as it is. Raises a usage error for a file that is not there."""
    path = Path(given)
    if path.is_file():
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise click.BadParameter(f"{given} is no text in UTF-8", param_hint="FILE_OR_NAME") from None
    if path.suffix in (".yaml", ".yml", ".json") or path.name != given:
        raise click.BadParameter(f"there is no file {given}", param_hint="FILE_OR_NAME")
    return given
