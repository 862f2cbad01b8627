"""Running the service: all of it, or one part as a process of its own.

Imports click; the parts themselves only in the process that becomes one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ktrdr import __version__
from ktrdr.cli.options import json_option, url_option
from ktrdr.cli.output import put, put_json, say

if TYPE_CHECKING:
    from ktrdr.settings import Settings
    from ktrdr.store import Store

_until_stdin_closes = click.option("--until-stdin-closes", is_flag=True, hidden=True)
_slots = click.option(
    "--slots", type=click.IntRange(1, 256), help="Jobs to run at once.  [env var: KTRDR_SLOTS; default: 1]"
)
_READY_SECONDS = 30.0


@click.command()
@json_option
def up(as_json: bool) -> None:
    """Starts the whole service: API, one worker and the scheduler.

    Ctrl-C stops all of it. A part that dies is started again. Jobs that were running go back to the
    queue and are taken up at the next start.

    \b
    Examples:
      ktrdr up
      KTRDR_PORT=9000 KTRDR_HOME=/srv/ktrdr ktrdr up
    """
    from ktrdr.api.access.address import check_address
    from ktrdr.api.server import wants_token
    from ktrdr.cli.parts import free_port, part_environment, running_parts
    from ktrdr.settings import read_settings

    settings = read_settings()
    store, _ = open_installation()  # what makes it unusable is told once, not by every part each time it is restarted
    check_address(settings.host, has_token=wants_token(store, settings))  # what it says is logged by the API
    try:
        port = free_port(settings.host, settings.port)
    except OSError as error:
        raise click.ClickException(
            f"port {settings.port} of {settings.host} cannot be used ({error.strerror}); "
            "stop what listens there, or choose another with KTRDR_PORT"
        ) from None
    stopping = _stop_signals()
    environment = part_environment(home=str(settings.home), host=settings.host, port=port)
    with running_parts(environment, say=say) as parts:
        url = environment["KTRDR_URL"]
        if wait_until_ready(url, stopping):
            processes = {part.name: part.process.pid for part in parts}
            if as_json:
                put_json({"url": url, "home": str(settings.home), "processes": processes})
            else:
                put(_greeting(url, settings, processes))
        elif not stopping.is_set():
            say(f"the API does not answer at {url} after {_READY_SECONDS:.0f} s; still trying")
        stopping.wait()
        say("stopping")
    say("stopped")


def _greeting(url: str, settings: Settings, processes: dict[str, int]) -> str:
    elsewhere = f"KTRDR_URL={url} " if settings.url != url else ""
    return "\n".join(
        [
            f"ktrdr {__version__} is up",
            f"  open     {url}   (the API: {url}/docs)",
            f"  data     {settings.home}",
            f"  parts    {', '.join(f'{name} ({pid})' for name, pid in processes.items())}",
            f"  try      {elsewhere}ktrdr data import --sample",
            f"           {elsewhere}ktrdr train trend_follower --follow",
            "  stop     Ctrl-C",
        ]
    )


def wait_until_ready(url: str, stopping: threading.Event, seconds: float = _READY_SECONDS) -> bool:
    """Waits until the API says that it can do its work; False if it does not, or is stopped first."""
    from ktrdr.client import ServiceUnreachableError, connect

    deadline = time.monotonic() + seconds
    with connect(url) as client:
        while time.monotonic() < deadline and not stopping.wait(0.05):
            try:
                if client.ready()["status"] == "ok":
                    return True
            except ServiceUnreachableError:
                continue
    return False


@click.command()
@_until_stdin_closes
def serve(until_stdin_closes: bool) -> None:
    """Serves the API, in this process.

    \b
    Examples:
      ktrdr serve
      KTRDR_PORT=9000 ktrdr serve
    """
    from ktrdr.api.server import serve as serve_api

    serve_api(*_begin_part("serve", until_stdin_closes))


@click.command()
@_slots
@_until_stdin_closes
def worker(slots: int | None, until_stdin_closes: bool) -> None:
    """Trains jobs, in this process and one more for each job at a time.

    \b
    Examples:
      ktrdr worker
      ktrdr worker --slots 4
    """
    from ktrdr.worker.main import run_worker

    store, settings = _begin_part("worker", until_stdin_closes)
    if slots:
        settings = replace(settings, slots=slots)
    if not run_worker(store, settings):
        raise click.ClickException("the worker broke; what it logged before says why")


@click.command()
@_until_stdin_closes
def scheduler(until_stdin_closes: bool) -> None:
    """Does what is due by the clock: fires schedules, takes jobs from workers that were lost, signs the log.

    Several may run: one of them leads, and another takes over within seconds if it dies or stands still.

    \b
    Examples:
      ktrdr scheduler
    """
    from ktrdr.scheduler import run_scheduler

    run_scheduler(*_begin_part("scheduler", until_stdin_closes))


@click.command("host-worker")
@_slots
@url_option
@click.option(
    "--token", help="What the service wants of its clients. KTRDR_TOKEN keeps it out of the list of processes."
)
@click.option("--cache", help="Folder for price data and unfinished models.  [default: host_worker in KTRDR_HOME]")
@click.option("--cache-gb", type=float, help="What is kept there for later jobs, in GB.  [default: 20]")
def host_worker(**given: str | float | None) -> None:
    """Trains jobs for a service elsewhere, over HTTP alone; usually on the machine with the GPU.

    \b
    Examples:
      ktrdr host-worker --url http://127.0.0.1:8321
      KTRDR_DEVICE=cuda KTRDR_TOKEN=… ktrdr host-worker --slots 2
    """
    from host_worker.main import main as run_host_worker

    said = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    run_host_worker([f"--{name}={value}" for name, value in said.items()])


def open_installation() -> tuple[Store, Settings]:
    """The store that the settings name. What makes it unusable becomes an error for people."""
    from ktrdr.settings import read_settings
    from ktrdr.store import open_store
    from ktrdr.store.database import DatabaseUnsuitableError, DatabaseUnwritableError

    settings = read_settings()
    try:
        return open_store(settings.home, settings.database_url, lease_seconds=settings.lease_seconds), settings
    except DatabaseUnsuitableError as error:
        raise click.ClickException(str(error)) from None
    except DatabaseUnwritableError as error:
        raise click.ClickException(f"{error}; {error.fix}") from None


def _begin_part(name: str, until_stdin_closes: bool) -> tuple[Store, Settings]:
    from ktrdr.logs import configure_logs
    from ktrdr.settings import read_settings

    settings = read_settings()
    configure_logs(name, form=settings.log_format, level=settings.log_level, secrets=(settings.token or "",))
    if until_stdin_closes:
        threading.Thread(target=_stop_when_stdin_closes, daemon=True).start()
    return open_installation()


def _stop_when_stdin_closes() -> None:
    """Ends this process, as on request, once the process that holds the other end of stdin is gone."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _stop_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
