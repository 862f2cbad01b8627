"""`ktrdr audit proof` and `check-proof`: that an event of a job is in the log.

Imports click; the client and the audit when a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrdr.cli.audit_keys import keys_followed, parsed_key
from ktrdr.cli.job_ids import full_job_id
from ktrdr.cli.options import connect_to, id_argument, json_option, text_file, url_option
from ktrdr.cli.output import put, put_json, put_pairs, say

if TYPE_CHECKING:
    from typing import TextIO

    from ktrdr.audit.signed.notes import VerifierKey


@click.command()
@id_argument
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File.  [default: stdout]")
@url_option
@json_option
def proof(job_id: str, output: Path | None, url: str | None, as_json: bool) -> None:
    """Gives a proof that the newest event of a job is in the log: of its end, once it has ended.

    The file holds the event and verifies alone, with `ktrdr audit check-proof`, or with any program
    that knows c2sp.org/tlog-proof.

    \b
    Examples:
      ktrdr audit proof 3f2a9c1b -o job.tlog-proof
    """
    with connect_to(url) as client:
        text = client.job_proof(full_job_id(client, job_id))
    if output is not None:
        output.write_text(text)
    if as_json:
        put_json({"proof": text})
    else:
        put(str(output) if output else text.rstrip("\n"))


@click.command("check-proof")
@click.argument("file", type=text_file)
@click.option("--key", "trusted", metavar="VKEY", multiple=True, help="A key of the log that you trust.")
@url_option
@json_option
def check_proof(file: TextIO, trusted: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Checks a proof of an event. With --key it needs no service; without, the service's keys are taken.

    \b
    Examples:
      ktrdr audit check-proof job.tlog-proof --key 'ktrdr.local/…+1a2b3c4d+AXv3…'
    """
    from ktrdr.audit.signed.notes import LogCheckpoint, NoteError
    from ktrdr.audit.signed.proofs import EventProof
    from ktrdr.jobs.merkle import ProofError

    trusted_keys = [parsed_key(key) for key in trusted] or _keys_of_service(url)
    try:
        found = EventProof.parse(file.read())
        event, signers = found.check(trusted_keys)
    except (ProofError, NoteError) as error:
        raise click.ClickException(f"{file.name} proves nothing: {error}") from None
    stated = LogCheckpoint.parse(found.checkpoint.text)
    if as_json:
        put_json({"event": event, "size": stated.size, "origin": stated.origin, "signers": [*map(str, signers)]})
        return
    put(f"proved: event {event['position']} is in the log {stated.origin} of {stated.size} events")
    put_pairs((name, event.get(name)) for name in ("type", "job_id", "version", "recorded_at", "actor", "data"))
    put_pairs([("signed by", ", ".join(key.name for key in signers))])


def _keys_of_service(url: str | None) -> list[VerifierKey]:
    say("no --key: taking the word of the service for its keys")
    with connect_to(url) as client:
        return keys_followed(client, None)
