"""Looking at and changing what can be set while the service runs. Imports click; the client when a command runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.options import Word, connect_to, json_option, url_option
from ktrdr.cli.output import local_time, put_json, put_table, say

if TYPE_CHECKING:
    from ktrdr.api.service_settings import SettingsView

_NAMES = ("default_target", "fair_by", "caps")


@click.group()
def settings() -> None:
    """Looks at and changes what can be set while the service runs: default target, fairness, caps.

    \b
    Examples:
      ktrdr settings show
      ktrdr settings set --fair-by desk --cap desk=rates=2
    """


@settings.command()
@url_option
@json_option
def show(url: str | None, as_json: bool) -> None:
    """Shows what is set, who set it and when. `ktrdr config` has what the environment sets.

    \b
    Examples:
      ktrdr settings show
      ktrdr settings show --json | jq .caps.value
    """
    with connect_to(url) as client:
        _put(client.settings(), as_json=as_json)


def _read_caps(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> dict[str, int | None]:
    caps: dict[str, int | None] = {}
    for text in given:
        share, _, number = text.rpartition("=")
        if not share or not ((number.isascii() and number.isdigit()) or number == "none"):
            raise click.BadParameter(f"{text!r} is not SHARE=NUMBER, as in desk=rates=2, *=4 or desk=rates=none")
        caps[share] = None if number == "none" else int(number)
    return caps


@settings.command("set")
@click.option("--default-target", type=Word(["local", "host", "auto"]), help="Of jobs that do not say.")
@click.option("--fair-by", metavar="LABEL", help="The label whose values take turns.")
@click.option(
    "--cap",
    "caps",
    multiple=True,
    metavar="SHARE=N",
    callback=_read_caps,
    help="How many jobs of a share may run at once: desk=rates=2, or *=4 for each that is not named; "
    "desk=rates=none takes it away. May be repeated.",
)
@click.option("--reset", multiple=True, type=Word(_NAMES), help="Back to the default. May be repeated.")
@url_option
@json_option
def set_(
    *,
    default_target: str | None,
    fair_by: str | None,
    caps: dict[str, int | None],
    reset: tuple[str, ...],
    url: str | None,
    as_json: bool,
) -> None:
    """Changes what is named, for the jobs from now on; the running ones go on as they are.

    \b
    Examples:
      ktrdr settings set --default-target host
      ktrdr settings set --fair-by desk --cap desk=rates=2 --cap '*=4'
      ktrdr settings set --reset caps
    """
    given = {"default_target": default_target, "fair_by": fair_by, "caps": caps or None}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if both := [name for name in reset if name in changes]:
        raise click.UsageError(f"{both[0]} is set and reset at once")
    changes |= dict.fromkeys(reset)
    if not changes:
        raise click.UsageError("nothing is named that shall change")
    with connect_to(url) as client:
        _put(client.change_settings(changes), as_json=as_json)


def _put(view: SettingsView, *, as_json: bool) -> None:
    if as_json:
        put_json(view)
        return
    found = [("default_target", view["default_target"]), ("fair_by", view["fair_by"]), ("caps", view["caps"])]
    put_table(
        ("setting", "value", "changed", "by"),
        [
            (
                name,
                _text(setting["value"]) + ("" if setting["is_set"] else " (default)"),
                local_time(setting["changed_at"]),
                setting["changed_by"],
            )
            for name, setting in found
        ],
    )
    for warning in view["warnings"]:
        say(f"warning: {warning}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{share}: {cap}" for share, cap in sorted(value.items())) or "none"
    return str(value or "none")
