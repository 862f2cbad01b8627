"""`ktrdr audit verify`: the verdict over the whole log. Imports click; the store when it runs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrdr.cli.installation import counting, existing_store
from ktrdr.cli.options import json_option
from ktrdr.cli.output import put, put_json

if TYPE_CHECKING:
    from ktrdr.audit import Verdict
    from ktrdr.audit.signed.notes import SignedNote


@click.command()
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    metavar="FILE",
    help="A signed checkpoint, or several one behind the other, that was kept elsewhere; - for standard input.",
)
@click.option("--key", metavar="NAME+ID+KEY", help="The log's public key, kept elsewhere: trust this one alone.")
@json_option
def verify(checkpoints: tuple[str, ...], key: str | None, as_json: bool) -> None:
    """Verifies the whole log, what was signed of it, and that projections, models and prices agree with it.

    Changes nothing, and may run beside the service. Exit code 1 if anything is wrong. Only a checkpoint that was kept
    elsewhere shows that the end was cut off, that an old copy was put back, or that someone with the signing key wrote
    the log anew.

    \b
    Examples:
      ktrdr audit verify
      ktrdr audit verify --checkpoint /mnt/elsewhere/checkpoints.txt
      KTRDR_HOME=/backup/ktrdr ktrdr audit verify --json
    """
    from ktrdr.audit import verify as verify_log
    from ktrdr.audit.signed.notes import NoteError, VerifierKey

    try:
        verdict = verify_log(
            existing_store(),
            counting("events"),
            kept=[note for file in checkpoints for note in _read_notes(file)],
            key=VerifierKey.parse(key) if key else None,
        )
    except NoteError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        put_json({"sound": verdict.is_sound, **asdict(verdict)})
    else:
        put_verdict(verdict)
    if not verdict.is_sound:
        raise click.exceptions.Exit(1)


def put_verdict(verdict: Verdict) -> None:
    """The verdict in plain words."""
    put_findings("wrong", verdict.findings, verdict.left_out)
    put(verdict.sentence)


def put_findings(what: str, findings: tuple[str, ...], left_out: int) -> None:
    """One line each, and how many more there are."""
    for finding in findings:
        put(f"{what}: {finding}")
    if left_out:
        put(f"and {left_out} more")


def _read_notes(file: str) -> list[tuple[str, SignedNote]]:
    """The checkpoints of a file, each with a name for people."""
    from ktrdr.audit.signed.notes import notes_in

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from None
    notes = notes_in(text)
    if not notes:
        raise click.ClickException(f"{file} holds no signed checkpoint")
    return [
        (f"the checkpoint in {file}" if len(notes) == 1 else f"checkpoint {number} in {file}", note)
        for number, note in enumerate(notes, start=1)
    ]
