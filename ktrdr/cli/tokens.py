"""Making and revoking the tokens that open the API. Imports click; the store when a command runs.

They work on the installation itself, beside the service or without it: whoever can write its files may.
"""

from __future__ import annotations

import getpass
import re
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.installation import existing_store
from ktrdr.cli.options import Word, json_option
from ktrdr.cli.output import local_time, put, put_json, put_table, say
from ktrdr.cli.service import open_installation

if TYPE_CHECKING:
    from ktrdr.jobs.service.tokens import Token
    from ktrdr.store import Store

_SCOPES = ("read", "submit", "work", "admin")
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@click.group()
def tokens() -> None:
    """Makes and revokes the tokens that open the API.

    As long as there is none, everyone on this machine may do everything, and the service listens to
    nobody else. Run these commands where the service's data is.

    \b
    Examples:
      ktrdr tokens create ci --scope submit --expires 90d
      ktrdr tokens list
      ktrdr tokens revoke ci
    """


def _read_age(_context: click.Context, _parameter: click.Parameter, given: str | None) -> int | None:
    if given is None:
        return None
    matched = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", given)
    if matched is None:
        raise click.BadParameter(f"{given!r} is not a time such as 12h, 90d or 4w")
    return int(matched[1]) * _UNITS[matched[2]]


@tokens.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=Word(_SCOPES),
    help="What it may do: read everything; submit, which includes read; work on jobs, for host workers; admin, "
    "which is everything. May be repeated.",
)
@click.option("--expires", metavar="TIME", callback=_read_age, help="After how long: 12h, 90d, 4w.  [default: never]")
@json_option
def create(name: str, scopes: tuple[str, ...], expires: int | None, as_json: bool) -> None:
    """Makes a token, and prints it this once: only its SHA-256 is kept.

    The service takes it at once. NAME is what the log calls whoever shows it.

    \b
    Examples:
      ktrdr tokens create ci --scope submit --expires 90d
      ktrdr tokens create gpu-box --scope work > gpu-box.token
      KTRDR_TOKEN=$(ktrdr tokens create me --scope admin) ktrdr jobs list
    """
    from ktrdr.clock import later, system_clock, to_instant
    from ktrdr.store.tokens import create_token, has_token

    store, _ = open_installation()  # may be the first thing that is done to it
    _require_name(name)
    was_open = not has_token(store.open_reader())
    now = to_instant(system_clock())
    secret, token = _write(
        store,
        lambda log: create_token(
            log, name, scopes=scopes, expires_at=None if expires is None else later(now, expires), actor=_who()
        ),
    )
    if as_json:
        put_json({**_view(token), "token": secret})
    else:
        put(secret)
    say(f"token {name} may: {', '.join(token.scopes)}" + (f"; until {_until(token)}" if token.expires_at else ""))
    say("keep it: it is shown this once. Clients send it from KTRDR_TOKEN")
    if was_open:
        say("from now on the API wants a token of everyone, on this machine too")


@tokens.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Lists the tokens, those too that open nothing any more.

    \b
    Examples:
      ktrdr tokens list
      ktrdr tokens list --json | jq -r '.tokens[] | select(.state == "good") | .name'
    """
    from ktrdr.jobs.service.tokens import Token

    known = existing_store().open_reader().subjects(Token)
    if as_json:
        put_json({"tokens": [_view(token) for token in known]})
        return
    put_table(
        ("name", "may", "state", "ends", "made", "by"),
        [
            (
                token.name,
                ", ".join(token.scopes),
                _state(token),
                _until(token),
                local_time(token.created_at),
                token.created_by,
            )
            for token in known
        ],
        empty="there is no token: everyone on this machine may do everything",
    )


@tokens.command()
@click.argument("name")
@click.option("--reason", default="", help="Why, for the log.")
@json_option
def revoke(name: str, reason: str, as_json: bool) -> None:
    """Revokes a token: from the next request on it opens nothing, and sessions begun with it end.

    \b
    Examples:
      ktrdr tokens revoke ci
      ktrdr tokens revoke ci --reason "found in a log"
    """
    from ktrdr.store.tokens import has_token, revoke_token

    store = existing_store()
    _require_name(name)
    token = _write(store, lambda log: revoke_token(log, name, reason=reason[:1000], actor=_who()))
    if as_json:
        put_json(_view(token))
    else:
        put(f"token {name} opens nothing any more")
    if not has_token(store.open_reader()):
        say(
            "no token is left: unless KTRDR_TOKEN is set for the service, or it listens to other machines, everyone on "
            "this machine may do everything"
        )


def _write(store: Store, operation: Any) -> Any:
    from ktrdr.jobs.refusals import RefusalError

    log = store.open_log()
    try:
        return operation(log)
    except RefusalError as refusal:
        raise click.ClickException(f"{refusal}; {refusal.fix}") from None
    finally:
        log.close()


def _require_name(name: str) -> None:
    from ktrdr.jobs.service.subjects import NAME_FORM, is_subject_name

    if name.startswith("ktrdr_"):  # as tokens do: one that is given in place of its name must not get into the log
        raise click.UsageError("that looks like a token; give its name, which ktrdr tokens list shows")
    if not is_subject_name(name):
        raise click.UsageError(f"{name[:80]!r} is no name: {NAME_FORM}")


def _who() -> str:
    """Who works at this machine, as the log names them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name, as in some containers
        return "cli"


def _view(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "scopes": list(token.scopes),
        "state": _state(token),
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "revoked_by": token.revoked_by or None,
        "revoke_reason": token.revoke_reason or None,
    }


def _state(token: Token) -> str:
    from ktrdr.clock import system_clock, to_instant

    if token.is_revoked:
        return "revoked"
    return "expired" if token.has_expired(to_instant(system_clock())) else "good"


def _until(token: Token) -> str:
    return local_time(token.expires_at) or "never"
