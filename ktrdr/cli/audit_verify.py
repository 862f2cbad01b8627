"""`ktrdr audit verify`: the verdict over the whole log. Imports click; the store when it runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ktrdr.cli.installation import counting, existing_store
from ktrdr.cli.options import json_option
from ktrdr.cli.output import put, put_json

if TYPE_CHECKING:
    from ktrdr.audit import Verdict


@click.command()
@json_option
def verify(as_json: bool) -> None:
    """Verifies the whole log, and that projections, models and prices agree with it.

    Changes nothing, and may run beside the service. Exit code 1 if anything is wrong.

    \b
    Examples:
      ktrdr audit verify
      KTRDR_HOME=/backup/ktrdr ktrdr audit verify --json
    """
    from ktrdr.audit import verify as verify_log

    verdict = verify_log(existing_store(), counting("events"))
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
