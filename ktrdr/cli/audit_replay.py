"""`ktrdr audit replay`: the log folded again from zero. Imports click; the store when it runs."""

from __future__ import annotations

from dataclasses import asdict

import click

from ktrdr.cli.audit_verify import put_findings
from ktrdr.cli.installation import counting, existing_store
from ktrdr.cli.options import json_option
from ktrdr.cli.output import put, put_json


@click.command()
@json_option
def replay(as_json: bool) -> None:
    """Folds every event from zero and compares with all that is kept beside the log; changes nothing.

    Says the state digest: two logs have the same one only if every job stands the same in both. Exit code 1 if
    anything differs; `ktrdr db rebuild` repairs it.

    \b
    Examples:
      ktrdr audit replay
      ktrdr audit replay --json
    """
    from ktrdr.audit.checking.replay import replay as replay_log

    replayed = replay_log(existing_store(), counting("events"))
    if as_json:
        put_json({"equal": replayed.is_equal, **asdict(replayed)})
    else:
        put_findings("differs", replayed.differences, replayed.left_out)
        number = len(replayed.differences) + replayed.left_out
        found = f"{number} difference{'' if number == 1 else 's'}" if number else "no difference"
        put(f"{replayed.events:,} events of {replayed.jobs:,} jobs folded from zero: {found}")
        put(f"state digest  {replayed.state_digest}")
    if not replayed.is_equal:
        raise click.exceptions.Exit(1)
