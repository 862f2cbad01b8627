"""`ktrdr audit actions`: who did what when. Imports click; the client when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import is_terminal, local_time, put_json, put_table, say

if TYPE_CHECKING:
    from ktrdr.api.audit_actions import ActionView


@click.command()
@click.option("--actor", help="Of one alone, as the log names them: token:ci, operator, client:127.0.0.1, cli:ann.")
@click.option("--since", metavar="MOMENT", help="From then on: a time or a day.")
@click.option("--until", metavar="MOMENT", help="Up to then: a position, a time, or a day, which counts to its end.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Of actions, newest first.")
@url_option
@json_option
def actions(
    *, actor: str | None, since: str | None, until: str | None, limit: int, url: str | None, as_json: bool
) -> None:
    """Shows who did what when: submitted, cancelled, set, made or revoked a token.

    \b
    Examples:
      ktrdr audit actions
      ktrdr audit actions --actor token:ci --since 2026-11-01
      ktrdr audit actions --json | jq -r '.actions[].text'
    """
    found: list[ActionView] = []
    cursor: str | None = None
    with connect_to(url) as client:
        while len(found) < limit:
            size = min(500, limit - len(found))
            page = client.actions(actor=actor, since=since, until=until, limit=size, cursor=cursor)
            found += page["actions"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    if as_json:
        put_json({"actions": found})
    else:
        put_table(
            ("position", "when", "who", "on", "what"),
            [
                (
                    action["position"],
                    local_time(action["recorded_at"]),
                    action["actor"],
                    action["subject"][-8:] if is_terminal() and ":" not in action["subject"] else action["subject"],
                    action["text"],
                )
                for action in found
            ],
            empty="nobody did anything in that time",
        )
    if cursor is not None:
        say(f"there are more than the {limit} shown; see them with a higher --limit")
