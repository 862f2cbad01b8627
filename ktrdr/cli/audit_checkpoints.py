"""`ktrdr audit checkpoint` and `consistency`: the log signed, and that it only grew since.

Imports click; the client and the audit when a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.audit_keys import keys_followed
from ktrdr.cli.options import connect_to, json_option, text_file, url_option
from ktrdr.cli.output import put, put_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from ktrdr.audit.signed.notes import SignedNote, VerifierKey
    from ktrdr.client import Client


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File.  [default: stdout]")
@url_option
@json_option
def checkpoint(output: Path | None, url: str | None, as_json: bool) -> None:
    """Signs the log as it is now, and gives the checkpoint.

    Keep it where nobody who can write the log can write: with it, `ktrdr audit consistency` shows
    whether the log that it signs was cut off or changed.

    \b
    Examples:
      ktrdr audit checkpoint
      ktrdr audit checkpoint -o /media/elsewhere/today.checkpoint
    """
    with connect_to(url) as client:
        note = client.sign()
    if output is not None:
        output.write_text(note)
    if as_json:
        put_json(_stated(note))
    else:
        put(str(output) if output else note.rstrip("\n"))


@click.command()
@click.argument("file", type=text_file)
@click.option("--key", "trusted", metavar="VKEY", help="The key of the log that you trust.")
@url_option
@json_option
def consistency(file: TextIO, trusted: str | None, url: str | None, as_json: bool) -> None:
    """Checks that the log still begins with what an old checkpoint says of it.

    FILE holds one checkpoint or, as KTRDR_CHECKPOINT_PUSH writes it, many; each is checked. With --key
    you trust that key and those that it handed over to; without, whatever keys the service names.
    Exit code 1 if the log was cut off or changed.

    \b
    Examples:
      ktrdr audit consistency /media/elsewhere/checkpoints
    """
    from ktrdr.audit.signed.notes import LogCheckpoint, NoteError, SignedNote, notes_in
    from ktrdr.jobs.merkle import ProofError

    old_notes = notes_in(file.read())
    if not old_notes:
        raise click.ClickException(f"{file.name} holds no checkpoint")
    with connect_to(url) as client:
        try:
            known = keys_followed(client, trusted)
            newest = SignedNote.parse(client.sign())
            _require_signer(newest, known)
            for note in old_notes:
                _require_signer(note, known)
                _require_beginning(client, LogCheckpoint.parse(note.text), LogCheckpoint.parse(newest.text))
        except (NoteError, ProofError) as error:
            raise click.ClickException(f"not consistent: {error}") from None
    sizes, now = [LogCheckpoint.parse(note.text).size for note in old_notes], LogCheckpoint.parse(newest.text).size
    if as_json:
        put_json({"consistent": True, "checkpoints": len(sizes), "newest": max(sizes), "size": now})
    else:
        checked = f"the checkpoint of {sizes[0]} events" if len(sizes) == 1 else f"{len(sizes)} checkpoints"
        put(f"consistent: the log of {now} events begins with what {checked} said")


def _require_beginning(client: Client, old: Any, new: Any) -> None:
    """Raises ProofError unless the newer checkpoint's log begins with the older one's."""
    from ktrdr.audit.signed.notes import from_base64
    from ktrdr.jobs.merkle import ProofError, check_consistency

    if old.origin != new.origin:
        raise ProofError(f"the checkpoint is of the log {old.origin}, and this service has the log {new.origin}")
    if old.size > new.size:
        raise ProofError(f"the log has {new.size} events, and had {old.size}: its end was cut off")
    hashes = [*map(from_base64, client.consistency(old.size, new.size)["proof"])]
    try:
        check_consistency(old.size, new.size, old.root, new.root, hashes)
    except ProofError as error:
        raise ProofError(f"the first {old.size} events are not what they were: {error}") from None


def _require_signer(note: SignedNote, known: Sequence[VerifierKey]) -> None:
    from ktrdr.audit.signed.notes import NoteError

    if not note.signers(known):
        origin, size = note.text.split("\n")[:2]
        raise NoteError(f"the checkpoint of {size} events of {origin} is not signed by a key that you trust")


def _stated(note: str) -> dict[str, Any]:
    origin, size, root = note.split("\n")[:3]
    return {"origin": origin, "size": int(size), "root": root, "note": note}
