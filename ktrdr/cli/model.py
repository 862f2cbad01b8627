"""`ktrdr model`: what can be done with a downloaded model, without its service. Imports click; the rest at need."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.audit_keys import keys_followed, parsed_key
from ktrdr.cli.options import connect_to, json_option
from ktrdr.cli.output import put, put_json

if TYPE_CHECKING:
    from ktrdr.audit.model_check import ModelVerdict
    from ktrdr.audit.signed.notes import LogCheckpoint


@click.group()
def model() -> None:
    """Checks downloaded models.

    \b
    Examples:
      ktrdr model verify models/trend/
    """


@model.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--key", metavar="VKEY", help="The key of the log, known from elsewhere: name+id+key.")
@click.option("--url", help="Ask this service, too, whether it knows the checkpoint that the proof leads to.")
@json_option
def verify(directory: Path, key: str | None, url: str | None, as_json: bool) -> None:
    """Verifies an unpacked model and the signed statement where it comes from, offline.

    Every file has its sum; provenance.json is signed and speaks of exactly these files; the event that completed the
    job names this model, and the proof in it leads to the root that the log's key has signed. Without --key it says
    which key that was; whether to trust it is yours to know. With --key and --url it follows the service's changes of
    its key from the given one on. Exit code 1 if anything is wrong.

    \b
    Examples:
      unzip model-….zip -d trend/ && ktrdr model verify trend/
      ktrdr model verify trend/ --key ktrdr.local/4b1c…+0a1b2c3d+AXv3…
      ktrdr model verify trend/ --url https://trainings.example --json
    """
    from ktrdr.audit.model_check import check_model

    trusted = [] if key is None else [parsed_key(key)]
    if url is not None and key is not None:
        with connect_to(url) as client:
            trusted = keys_followed(client, key)
    verdict = check_model(directory, trusted)
    findings, checks = list(verdict.findings), list(verdict.checks)
    if url is not None and verdict.checkpoint is not None:
        problem = _why_unknown(url, verdict.checkpoint)
        (findings if problem else checks).append(problem or f"{url} has the same log up to that checkpoint")
    if as_json:
        put_json(_document(verdict, checks, findings))
    else:
        for check in checks:
            put(f"right: {check}")
        for finding in findings:
            put(f"wrong: {finding}")
        put(verdict.sentence if findings == list(verdict.findings) else "not sound: the service has another log")
    if findings:
        raise click.exceptions.Exit(1)


def _why_unknown(url: str, checkpoint: LogCheckpoint) -> str | None:
    """Why the service's log is not the one that the checkpoint signs; None if it is."""
    from ktrdr.client import ApiError

    with connect_to(url) as client:
        try:
            root = client.consistency(checkpoint.size, checkpoint.size)["from_root"]
        except ApiError as error:
            if error.status != 422:
                raise
            return f"the log of {url} does not have {checkpoint.size} events"
        keys = [text.partition("+")[0] for text in client.log_keys()["keys"]]
    if checkpoint.origin not in keys:
        return f"{url} has another log: {keys[-1]}, not {checkpoint.origin}"
    if root != b64encode(checkpoint.root).decode():
        return f"the log of {url} has another root at size {checkpoint.size}: one of the two was rewritten"
    return None


def _document(verdict: ModelVerdict, checks: list[str], findings: list[str]) -> dict[str, Any]:
    checkpoint = verdict.checkpoint
    return {
        "sound": not findings,
        **asdict(verdict),
        "checkpoint": checkpoint
        and {"origin": checkpoint.origin, "size": checkpoint.size, "root": b64encode(checkpoint.root).decode()},
        "checks": checks,
        "findings": findings,
    }
