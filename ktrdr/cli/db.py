"""Looking after the database of this machine's installation. Imports click; the store when a command runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrdr.cli.options import json_option
from ktrdr.cli.output import is_terminal, put, put_json, say
from ktrdr.cli.service import open_installation

if TYPE_CHECKING:
    from ktrdr.audit import Verdict
    from ktrdr.store import Store


@click.group()
def db() -> None:
    """Looks after the database: proves the log, rebuilds what follows from it.

    \b
    Examples:
      ktrdr db verify
      ktrdr db rebuild --check
    """


@db.command()
@json_option
def verify(as_json: bool) -> None:
    """Verifies the whole log, and that projections, models and prices agree with it.

    Changes nothing, and may run beside the service. Exit code 1 if anything is wrong.

    \b
    Examples:
      ktrdr db verify
      KTRDR_HOME=/backup/ktrdr ktrdr db verify --json
    """
    from ktrdr.audit import verify as verify_log

    verdict = verify_log(_existing_store(), _counting("events"))
    if as_json:
        put_json({"sound": verdict.is_sound, **asdict(verdict)})
    else:
        put_verdict(verdict)
    if not verdict.is_sound:
        raise click.exceptions.Exit(1)


def put_verdict(verdict: Verdict) -> None:
    """The verdict in plain words."""
    for finding in verdict.findings:
        put(f"wrong: {finding}")
    if verdict.left_out:
        put(f"and {verdict.left_out} findings more")
    put(verdict.sentence)


@db.command()
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if anything differs.")
@json_option
def rebuild(check: bool, as_json: bool) -> None:
    """Folds the log again and repairs every projection that differs (the list of jobs, the queue, leases).

    \b
    Examples:
      ktrdr db rebuild --check
      ktrdr db rebuild
    """
    from ktrdr.store.rebuild import rebuild as rebuild_projections

    store = _existing_store()
    rebuilt = rebuild_projections(store.engine, store.doorbell, repair=not check, progress=_counting("jobs"))
    differences = [str(difference) for difference in rebuilt.differences]
    if as_json:
        put_json({"jobs": rebuilt.jobs, "events": rebuilt.events, "differences": differences, "repaired": not check})
    else:
        for difference in differences:
            put(difference)
        number = "one difference" if len(differences) == 1 else f"{len(differences)} differences"
        found = f"{number}, {'not repaired' if check else 'repaired'}" if differences else "no difference"
        put(f"{rebuilt.jobs} jobs with {rebuilt.events} events folded again: {found}")
    if check and differences:
        raise click.exceptions.Exit(1)


def _existing_store() -> Store:
    """The installation's store; asked to look after one that is not there, it must not make an empty one."""
    from ktrdr.settings import read_settings

    settings = read_settings()
    if settings.database_url is None and not (settings.home / "ktrdr.db").is_file():
        raise click.ClickException(f"there is no database in {Path(settings.home)}; KTRDR_HOME says where to look")
    return open_installation()[0]


def _counting(what: str) -> Callable[[int], None]:
    """Tells people who watch how far it is, once in a while."""
    told = 0

    def count(number: int) -> None:
        nonlocal told
        if is_terminal() and number - told >= 20_000:
            told = number
            say(f"{number:,} {what}")

    return count
