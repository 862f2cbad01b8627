"""Looking at jobs and acting on them. Imports click; the client when a command runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrdr.cli.archived_events import archived_events
from ktrdr.cli.job_ids import full_job_id
from ktrdr.cli.options import (
    Word,
    as_of_option,
    complete_strategies,
    complete_symbols,
    connect_to,
    id_argument,
    json_option,
    url_option,
)
from ktrdr.cli.output import is_terminal, local_time, put, put_json, put_table, say
from ktrdr.cli.retries import checkpoints, fork, retry

if TYPE_CHECKING:
    from ktrdr.api.views import EventView, JobView

_STATUSES = ("queued", "running", "cancelling", "completed", "failed", "cancelled")


@click.group()
def jobs() -> None:
    """Looks at jobs, follows and cancels them, retries and forks them, uses their models.

    An ID may be shortened to any beginning or end of it that is unique among recent jobs.

    \b
    Examples:
      ktrdr jobs list --status running
      ktrdr jobs follow 3f2a9c1b
    """


@jobs.command("list")
@click.option("--status", multiple=True, type=Word(_STATUSES), help="May be repeated.")
@click.option("--strategy", shell_complete=complete_strategies, help="Name of the strategy.")
@click.option("--symbol", shell_complete=complete_symbols, help="One of its symbols.")
@click.option("--label", multiple=True, metavar="KEY=VALUE", help="May be repeated; a job must carry all of them.")
@click.option("--since", help="First day or moment of submission (UTC).")
@click.option("--until", help="Last day or moment of submission; a bare day counts to its end.")
@as_of_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@url_option
@json_option
def list_(
    *,
    status: tuple[str, ...],
    strategy: str | None,
    symbol: str | None,
    label: tuple[str, ...],
    since: str | None,
    until: str | None,
    as_of: str | None,
    limit: int,
    url: str | None,
    as_json: bool,
) -> None:
    """Lists jobs, newest first, as they are or as they were at any moment.

    \b
    Examples:
      ktrdr jobs list
      ktrdr jobs list --status failed --since 2026-11-01 --label desk=rates --json
      ktrdr jobs list --status running --as-of 2026-11-24T09:30:00Z
    """
    with connect_to(url) as client:
        found = list(
            client.jobs(
                status=status,
                strategy=strategy,
                symbol=symbol,
                label=label,
                submitted_from=since,
                submitted_until=until,
                as_of=as_of,
                limit=limit,
            )
        )
    if as_json:
        put_json({"jobs": found})
        return
    put_table(
        ("id", "status", "strategy", "symbols", "submitted", "progress"),
        [
            (
                job["id"][-8:] if is_terminal() else job["id"],
                job["status"],
                job["name"],
                ",".join(job["symbols"]),
                local_time(job["submitted_at"]),
                _progress(job),
            )
            for job in found
        ],
        empty="no such jobs at that moment" if as_of else "no such jobs; submit one with: ktrdr train trend_follower",
    )


@jobs.command()
@id_argument
@as_of_option
@url_option
@json_option
def show(job_id: str, as_of: str | None, url: str | None, as_json: bool) -> None:
    """Shows one job: what it is, how far it is, how it ended; with --as-of as it was at that moment.

    \b
    Examples:
      ktrdr jobs show 3f2a9c1b
      ktrdr jobs show 3f2a9c1b --json | jq .result.metrics
      ktrdr jobs show 3f2a9c1b --as-of 1200
    """
    from ktrdr.cli.job_page import put_job

    with connect_to(url) as client:
        job = client.job(full_job_id(client, job_id), as_of=as_of)
    if as_json:
        put_json(job)
    else:
        put_job(job)


@jobs.command()
@id_argument
@click.option("--archived", is_flag=True, help="With what was pruned, from the installation of this machine.")
@url_option
@json_option
def events(job_id: str, *, archived: bool, url: str | None, as_json: bool) -> None:
    """Shows every event of a job up to now; with --json one on each line.

    \b
    Examples:
      ktrdr jobs events 3f2a9c1b
      ktrdr jobs events 3f2a9c1b --json | jq -r .type
    """
    if archived:
        _put_events(archived_events(job_id), as_json=as_json)
        return
    with connect_to(url) as client:
        _put_events(client.events(full_job_id(client, job_id)), as_json=as_json)


def _put_events(recorded: Iterable[EventView], *, as_json: bool) -> None:
    from ktrdr.sentences import sentence

    if as_json:
        for event in recorded:
            put_json(event)
        return
    put_table(
        ("position", "time", "event", "what happened"),
        [(event["position"], local_time(event["recorded_at"]), event["type"], sentence(event)) for event in recorded],
    )


@jobs.command()
@id_argument
@url_option
@json_option
def follow(job_id: str, url: str | None, as_json: bool) -> None:
    """Watches a job until it ends; the exit code says how. Ctrl-C only stops watching.

    \b
    Examples:
      ktrdr jobs follow 3f2a9c1b
      ktrdr jobs follow 3f2a9c1b --json | jq -r .type
    """
    from ktrdr.cli.follow import follow_job

    with connect_to(url) as client:
        raise click.exceptions.Exit(follow_job(client, full_job_id(client, job_id), as_json=as_json))


@jobs.command()
@id_argument
@click.option("--reason", default="", help="Is recorded with the request.")
@url_option
@json_option
def cancel(job_id: str, reason: str, url: str | None, as_json: bool) -> None:
    """Asks a job to stop: at once if it waits, otherwise within moments.

    \b
    Examples:
      ktrdr jobs cancel 3f2a9c1b
      ktrdr jobs cancel 3f2a9c1b --reason "wrong symbols"
    """
    with connect_to(url) as client:
        job = client.cancel(full_job_id(client, job_id), reason=reason)
    if as_json:
        put_json(job)
        return
    put(f"{job['id']} {job['status']}")
    if job["status"] == "cancelling":
        say(f"  see it stop with: ktrdr jobs follow {job['id']}")


@jobs.command()
@id_argument
@click.option(
    "--symbol", shell_complete=complete_symbols, help="Whose stored prices; otherwise every symbol of the job."
)
@click.option("--last", type=click.IntRange(1), default=1, show_default=True, help="How many of the newest bars.")
@url_option
@json_option
def predict(job_id: str, symbol: str | None, last: int, url: str | None, as_json: bool) -> None:
    """Asks the model of a completed job about the newest bars.

    \b
    Examples:
      ktrdr jobs predict 3f2a9c1b
      ktrdr jobs predict 3f2a9c1b --symbol AAPL --last 5 --json
    """
    from ktrdr.cli.predictions import put_predictions

    with connect_to(url) as client:
        job = client.job(full_job_id(client, job_id))
        predictions = {
            name: client.predict(job["id"], symbol=name, last=last) for name in ([symbol] if symbol else job["symbols"])
        }
    if as_json:
        put_json({"job_id": job["id"], "predictions": predictions})
    else:
        put_predictions(predictions)


@jobs.command()
@id_argument
@click.option("--output", type=click.Path(path_type=Path), help="File or folder.  [default: model-ID.zip]")
@url_option
@json_option
def model(job_id: str, output: Path | None, url: str | None, as_json: bool) -> None:
    """Downloads the model of a completed job as a zip file, with the signed statement where it comes from.

    Check it, unpacked, with: ktrdr model verify

    \b
    Examples:
      ktrdr jobs model 3f2a9c1b
      ktrdr jobs model 3f2a9c1b --output models/
    """
    with connect_to(url) as client:
        full_id = full_job_id(client, job_id)
        target = output or Path()
        written = client.model(full_id, target / f"model-{full_id}.zip" if target.is_dir() else target)
    if as_json:
        put_json({"job_id": full_id, "path": str(written), "bytes": written.stat().st_size})
    else:
        put(str(written))


@jobs.command()
@id_argument
@click.option("--output", type=click.Path(path_type=Path), help="File or folder, instead of stdout.")
@url_option
@json_option
def provenance(job_id: str, output: Path | None, url: str | None, as_json: bool) -> None:
    """Gives the signed statement where a model comes from: in-toto with SLSA provenance, in a DSSE envelope.

    The zip file of `ktrdr jobs model` holds it as provenance.json; `ktrdr model verify` checks both.

    \b
    Examples:
      ktrdr jobs provenance 3f2a9c1b | jq -r .payload | base64 -d | jq .predicate.buildDefinition
      ktrdr jobs provenance 3f2a9c1b --output trend/provenance.json
    """
    with connect_to(url) as client:
        full_id = full_job_id(client, job_id)
        statement = client.provenance(full_id)
    if output is None:
        put_json(statement)
        return
    written = output / f"provenance-{full_id}.json" if output.is_dir() else output
    written.write_text(json.dumps(statement))
    if as_json:
        put_json({"job_id": full_id, "path": str(written), "bytes": written.stat().st_size})
    else:
        put(str(written))


for _command in (retry, fork, checkpoints):
    jobs.add_command(_command)


def _progress(job: JobView) -> str:
    progress = job["progress"]
    if job["status"] in ("running", "cancelling") and progress["epoch"]:
        return f"epoch {progress['epoch']} of {progress['epochs']}"
    if job["status"] in ("running", "cancelling"):
        return f"stage {progress['stage_number']} of {progress['stage_total']}"
    return job["failure"]["kind"] if job["status"] == "failed" and job["failure"] else ""
