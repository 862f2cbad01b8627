"""Looking after the database of this machine's installation. Imports click; the store when a command runs."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from ktrdr.cli.installation import counting, existing_store
from ktrdr.cli.options import json_option
from ktrdr.cli.output import put, put_json, say
from ktrdr.sentences import counted, seconds_text


@click.group()
def db() -> None:
    """Looks after the database: copies it, rebuilds what follows from the log.

    \b
    Examples:
      ktrdr db backup /media/elsewhere/ktrdr
      ktrdr db rebuild --check
    """


@db.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def backup(folder: Path, as_json: bool) -> None:
    """Copies the whole installation into FOLDER, while it is used; the next time only what is new.

    The copy is an installation itself: KTRDR_HOME=FOLDER makes every command work on it, and to restore is to copy it
    back. It holds the signing key of the log, so keep it as you keep the installation.

    \b
    Examples:
      ktrdr db backup /media/elsewhere/ktrdr
      KTRDR_HOME=/media/elsewhere/ktrdr ktrdr audit verify
    """
    from ktrdr.store.backup import BackupError, back_up

    store = existing_store()
    began = time.monotonic()
    try:
        made = back_up(store, folder, progress=counting("files"))
    except BackupError as error:
        raise click.ClickException(str(error)) from None
    seconds = time.monotonic() - began
    if as_json:
        put_json({"folder": str(folder.absolute()), **asdict(made), "seconds": round(seconds, 3)})
        return
    new = f"{counted(made.new_files, 'new file')} of {made.new_bytes / 1e6:,.1f} MB"
    put(f"{folder} holds the log up to event {made.position:,} ({made.database_bytes / 1e6:,.1f} MB), and {new}")
    say(f"  it took {seconds_text(seconds)}; check it with: KTRDR_HOME={folder} ktrdr audit verify")


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
