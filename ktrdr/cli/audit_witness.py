"""`ktrdr audit witness`: a second party that cosigns the log. Imports click; the audit when it runs."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ktrdr.cli.options import json_option
from ktrdr.cli.output import put, put_json


@click.command()
@click.option(
    "--log-key", "log_keys", metavar="VKEY", required=True, multiple=True,
    help="Of the log, from: ktrdr audit keys. After a rotation it follows by itself.",
)  # fmt: skip
@click.option(
    "--state", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="Folder of its key and of what it saw last: on a machine that the log's operator does not control.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8322, show_default=True, help="0 for any free one.")
@json_option
def witness(log_keys: tuple[str, ...], state: Path, host: str, port: int, as_json: bool) -> None:
    """Cosigns the checkpoints of a log, and refuses what does not go on from those it saw before.

    It prints what to set as KTRDR_WITNESSES for the service. Speaks c2sp.org/tlog-witness; every answer
    can be checked by its sender, so it wants no token.

    \b
    Examples:
      ktrdr audit witness --state /srv/witness --log-key 'ktrdr.local/…+1a2b3c4d+AXv3…'
    """
    from ktrdr.audit.signed.notes import NoteError, VerifierKey
    from ktrdr.audit.signed.witness import Witness
    from ktrdr.audit.signed.witness_server import serve_witness
    from ktrdr.cli.parts import free_port

    try:
        known = Witness(state, [VerifierKey.parse(key) for key in log_keys], time.time)
        port = free_port(host, port)
    except NoteError as error:
        raise click.ClickException(str(error)) from None
    except BlockingIOError:
        raise click.ClickException(f"another witness runs on {state}") from None
    except OSError as error:
        raise click.ClickException(f"port {port} of {host} or the folder {state} cannot be used: {error}") from None
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if as_json:
        put_json({"url": url, "key": str(known.key)})
    else:
        put(f"KTRDR_WITNESSES='{url}={known.key}'")
    try:
        serve_witness(known, host, port)
    finally:
        known.close()
