"""`ktrdr audit keys` and `rotate-key`: who signs the log, and whom a command trusts.

Imports click; the client, the audit and the store when a command runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ktrdr.cli.installation import existing_store
from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import put, put_json, say

if TYPE_CHECKING:
    from ktrdr.audit.signed.notes import VerifierKey
    from ktrdr.client import Client


@click.command()
@url_option
@json_option
def keys(url: str | None, as_json: bool) -> None:
    """Shows the keys that the log was signed by; the last one signs now.

    \b
    Examples:
      ktrdr audit keys
    """
    with connect_to(url) as client:
        found = client.log_keys()
    if as_json:
        put_json(found)
    else:
        for key in found["keys"]:
            put(key)


@click.command("rotate-key")
@json_option
def rotate_key(as_json: bool) -> None:
    """Replaces the key that signs the log, on the machine of the service.

    The checkpoint that it gives is signed by the old and the new key and names both, so that whoever
    trusts the old one can follow. The old secret is gone then. The service may run meanwhile.

    \b
    Examples:
      ktrdr audit rotate-key
    """
    from ktrdr.audit.signed.signing import SigningError, published_keys
    from ktrdr.audit.signed.signing import rotate_key as rotate

    store = existing_store()
    log = store.open_log()
    try:
        note = rotate(store, log)
    except SigningError as error:
        raise click.ClickException(f"{error}; {error.fix}") from None
    finally:
        log.close()
    new = str(published_keys(store)[-1])
    if as_json:
        put_json({"key": new, "checkpoint": str(note)})
    else:
        say("the log is signed by this key from now on:")
        put(new)


def keys_followed(client: Client, first: str | None) -> list[VerifierKey]:
    """The keys to trust for whoever trusts the first one; without one, those that the service names."""
    from ktrdr.audit.signed.notes import SignedNote
    from ktrdr.audit.signed.signing import trusted_keys

    served = client.log_keys()
    if first is None:
        return [parsed_key(key) for key in served["keys"]]
    return trusted_keys(parsed_key(first), [SignedNote.parse(note) for note in served["rotations"]])


def parsed_key(text: str) -> VerifierKey:
    """The key that an option gives. Raises a usage error."""
    from ktrdr.audit.signed.notes import NoteError, VerifierKey

    try:
        return VerifierKey.parse(text)
    except NoteError as error:
        raise click.BadParameter(str(error), param_hint="--key") from None
