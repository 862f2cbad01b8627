"""`ktrdr audit prune`: progress of old jobs goes into the archive. Imports click; the audit when it runs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from ktrdr.cli.installation import existing_store
from ktrdr.cli.options import json_option
from ktrdr.cli.output import is_terminal, put, put_json, say
from ktrdr.sentences import counted

if TYPE_CHECKING:
    from ktrdr.audit.retention import Emptied

_UNITS = {"d": "days", "h": "hours"}
#: Some centuries: further back than any log, and not beyond the calendar.
_MOST = timedelta(days=36_500)


class _Age(click.ParamType[timedelta]):
    name = "AGE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([dh])", str(value))
        age = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
        if age is None or age > _MOST:
            self.fail(f"{value!r} is no age; give days or hours, as in 90d or 12h", param, ctx)
        return age


@click.command()
@click.option("--older-than", "age", type=_Age(), required=True, help="Of jobs that ended so long ago: 90d, 12h.")
@click.option("--dry-run", is_flag=True, help="Say what would be pruned, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def prune(age: timedelta, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Takes what old jobs said of their progress out of the log.

    Stages, batches and epochs of jobs that have ended; everything else stays. Each job's whole history goes into
    `archive/` beside the database first. The leaf hashes stay, so that every proof and checkpoint holds as before. May
    run beside the service, which cannot write for a moment while the database is written again without the empty room.

    \b
    Examples:
      ktrdr audit prune --older-than 90d --dry-run
      ktrdr audit prune --older-than 90d --yes
    """
    from ktrdr.audit import retention
    from ktrdr.store.database import NotWrittenError

    store, before = existing_store(), retention.ended_before(age)
    due = retention.prunable(store, before)
    if dry_run or not due.jobs:
        _put(due, "would be pruned", as_json=as_json)
        return
    if not yes:
        _put(due, "will be pruned", as_json=False)
        click.confirm("Go on?", abort=True, err=True)

    def tell(done: Emptied) -> bool:
        if is_terminal() and done.jobs % 100 == 0:
            say(f"{done.jobs:,} of {due.jobs:,} jobs")
        return True

    try:
        done = retention.prune(store, before, tell)
        freed = retention.vacuum(store) if done.events else 0
    except (NotWrittenError, OSError) as error:
        raise click.ClickException(f"{error}; what was pruned is pruned, and the same command goes on") from None
    _put(done, "were pruned", as_json=as_json, freed=freed)
    if done.left:
        raise click.exceptions.Exit(1)


def _put(emptied: Emptied, verb: str, *, as_json: bool, freed: int | None = None) -> None:
    if as_json:
        told = {"jobs": emptied.jobs, "events": emptied.events, "bytes": emptied.bytes, "left": list(emptied.left)}
        put_json(told if freed is None else told | {"freed_bytes": freed})
        return
    if emptied.jobs:
        what = f"{counted(emptied.events, 'event')} of {counted(emptied.jobs, 'job')}"
        put(f"{what} {verb}, {emptied.bytes / 1e6:,.1f} MB of data")
    else:
        put("there is nothing to prune")
    if freed is not None:
        put(f"the database is {freed / 1e6:,.1f} MB smaller")
    for left in emptied.left:
        say(f"error: left as it is: {left}")
