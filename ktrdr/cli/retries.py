"""Jobs made of other jobs: retries, forks, and the checkpoints that they begin with. Imports click.

The client is imported when a command runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.job_ids import full_job_id
from ktrdr.cli.options import connect_to, id_argument, json_option, target_option, url_option
from ktrdr.cli.output import put, put_json, put_table, say

if TYPE_CHECKING:
    from ktrdr.api.views import JobView
    from ktrdr.client import Client

follow_option = click.option("--follow", is_flag=True, help="Watch until the job ends; Ctrl-C only stops watching.")
_key_option = click.option("--idempotency-key", help="The same key and content always give the same job.")


def _read_changes(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        try:
            changes[key] = json.loads(value)
        except ValueError:
            changes[key] = value
    return changes


@click.command()
@id_argument
@click.option("--from-checkpoint", is_flag=True, help="Go on from its newest checkpoint rather than from the start.")
@target_option
@follow_option
@_key_option
@url_option
@json_option
def retry(
    *,
    job_id: str,
    from_checkpoint: bool,
    target: str | None,
    follow: bool,
    idempotency_key: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Submits a job that has ended once more, with the same data and seed; its model will be the same.

    \b
    Examples:
      ktrdr jobs retry 3f2a9c1b --follow
      ktrdr jobs retry 3f2a9c1b --from-checkpoint --target local
    """
    with connect_to(url) as client:
        job = client.retry(
            full_job_id(client, job_id),
            from_checkpoint=from_checkpoint,
            idempotency_key=idempotency_key,
            target=target,
        )
        tell_submitted(client, job, follow=follow, as_json=as_json)


@click.command()
@id_argument
@click.option("--epoch", type=click.IntRange(1), help="Which epoch's checkpoint.  [default: the newest]")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_read_changes,
    help="A dotted key of the strategy and its new value, as JSON or a word; may be repeated.",
)
@click.option("--seed", type=int, help="Draw anew from this seed instead of going on drawing.")
@target_option
@follow_option
@_key_option
@url_option
@json_option
def fork(
    *,
    job_id: str,
    epoch: int | None,
    changes: dict[str, Any],
    seed: int | None,
    target: str | None,
    follow: bool,
    idempotency_key: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Submits a job that goes on from an epoch of another one, with changes.

    Data, weights and history are the other job's; optimizer memory and generators as far as they still fit.
    Learning-rate schedule and early stopping are those of the changed strategy.

    \b
    Examples:
      ktrdr jobs fork 3f2a9c1b --set training.epochs=200 --follow
      ktrdr jobs fork 3f2a9c1b --epoch 20 --set training.optimizer.learning_rate=0.0005
    """
    with connect_to(url) as client:
        job = client.fork(
            full_job_id(client, job_id),
            epoch=epoch,
            changes=changes,
            seed=seed,
            target=target,
            idempotency_key=idempotency_key,
        )
        tell_submitted(client, job, follow=follow, as_json=as_json)


@click.command()
@id_argument
@url_option
@json_option
def checkpoints(job_id: str, url: str | None, as_json: bool) -> None:
    """Lists the checkpoints of a job that are still there: what it can be retried or forked from.

    \b
    Examples:
      ktrdr jobs checkpoints 3f2a9c1b
      ktrdr jobs checkpoints 3f2a9c1b --json | jq '.checkpoints[-1].epoch'
    """
    with connect_to(url) as client:
        found = client.checkpoints(full_job_id(client, job_id))
    if as_json:
        put_json({"checkpoints": found})
        return
    put_table(
        ("epoch", "bytes", "digest"),
        [(one["epoch"], f"{one['bytes']:,}", one["digest"]) for one in found],
        empty="no checkpoints; a job keeps those of every N epochs with: ktrdr train … --checkpoint-every-epochs N",
    )


def tell_submitted(client: Client, job: JobView, *, follow: bool, as_json: bool) -> None:
    """Tells of a job that was made of another, or watches it; its end is the exit code then."""
    if follow:
        from ktrdr.cli.follow import follow_job

        raise click.exceptions.Exit(follow_job(client, job["id"], as_json=as_json))
    if as_json:
        put_json(job)
        return
    put(job["id"])
    say(f"{job['name']}, a {job['relation']} of {job['parent']}, waits for a worker")
    say(f"  watch it with: ktrdr jobs follow {job['id']}")
