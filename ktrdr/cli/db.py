"""Looking after the database of this machine's installation. Imports click; the store when a command runs."""

from __future__ import annotations

import click

from ktrdr.cli.installation import counting, existing_store
from ktrdr.cli.options import json_option
from ktrdr.cli.output import put, put_json


@click.group()
def db() -> None:
    """Looks after the database: rebuilds what follows from the log.

    \b
    Examples:
      ktrdr db rebuild --check
    """


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

    store = existing_store()
    rebuilt = rebuild_projections(store.engine, store.doorbell, repair=not check, progress=counting("jobs"))
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
