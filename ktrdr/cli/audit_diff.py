"""`ktrdr audit diff`: which jobs changed between two moments, and how. Imports click; the client when it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import is_terminal, local_time, put_json, put_table, say

if TYPE_CHECKING:
    from ktrdr.api.audit_diff import JobDifference

#: Of one value in a table; --json gives them whole.
_LONGEST = 40


@click.command()
@click.option(
    "--from", "first", required=True, metavar="MOMENT", help="A position, a time, or a day, which counts to its end."
)
@click.option("--to", "last", metavar="MOMENT", help="The same.  [default: now]")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Of jobs.")
@url_option
@json_option
def diff(first: str, last: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """Shows which jobs are not the same at two moments of the log, and in which fields.

    \b
    Examples:
      ktrdr audit diff --from 2026-11-23 --to 2026-11-24
      ktrdr audit diff --from 1200 --json | jq '.jobs[].id'
    """
    with connect_to(url) as client:
        found = list(client.diff(first, last, limit=limit + 1))
    if as_json:
        put_json({"jobs": found[:limit]})
    else:
        rows = [row for job in found[:limit] for row in _rows(job)]
        put_table(("job", "what", "before", "after"), rows, empty="nothing changed between these moments")
    if len(found) > limit:
        say(f"more jobs changed than the {limit} shown; see them with a higher --limit")


def _rows(job: JobDifference) -> Iterator[tuple[str, str, str, str]]:
    """A line for each field that changed; what a new job was submitted with is left out."""
    shown = job["id"][-8:] if is_terminal() else job["id"]
    if job["before"] is None:
        status = next(change["after"] for change in job["changes"] if change["field"] == "status")
        yield shown, "job", "", f"{job['name']} was submitted; {status}"
        return
    for change in job["changes"]:
        field = change["field"]
        yield shown, field, _shown(field, change["before"]), _shown(field, change["after"])


def _shown(field: str, value: Any) -> str:
    if value is None:
        return ""
    if field.endswith("_at"):
        return local_time(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
