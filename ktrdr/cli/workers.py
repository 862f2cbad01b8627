"""Looking at the workers. Imports click; the client when the command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import local_time, put_json, put_table

if TYPE_CHECKING:
    from ktrdr.api.workers import RunningJob


@click.command()
@url_option
@json_option
def workers(url: str | None, as_json: bool) -> None:
    """Lists the workers: which are alive, on which device, busy with what. Those gone are shown for a day.

    \b
    Examples:
      ktrdr workers
      ktrdr workers --json | jq '.workers[] | select(.state == "alive")'
    """
    with connect_to(url) as client:
        found = client.workers()
    if as_json:
        put_json({"workers": found})
        return
    put_table(
        ("worker", "kind", "state", "device", "slots", "version", "last seen", "busy with"),
        [
            (
                one["name"],
                one["kind"],
                one["state"],
                one["device"],
                one["slots"],
                one["version"],
                local_time(one["last_seen"]),
                ", ".join(map(_job, one["jobs"])),
            )
            for one in found
        ],
        empty="no workers; start one with: ktrdr worker (or all of the service with: ktrdr up)",
    )


def _job(job: RunningJob) -> str:
    epoch = f", epoch {job['epoch']} of {job['epochs']}" if job["epochs"] else ""
    return f"{job['job_id'][-8:]} {job['name']} ({job['stage'] or 'starting'}{epoch})"
