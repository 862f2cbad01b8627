"""What can stand at a place of the command line, for completion. Imports click; the rest when a shell asks.

Whoever presses a key waits for the answer: a service that does not give one at once is done without, silently.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

#: For connecting, and for each wait after that, unless KTRDR_COMPLETION_SECONDS says otherwise.
_SECONDS = 0.15
_RECENT = 100
_SHORT_ID = 8


def job_ids(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The ends of recent ids, as lists show them, or whole ids once more than that is given."""
    found = []
    for job in _ask(context, f"/api/v1/jobs?limit={_RECENT}", "jobs"):
        about = f"{job['status']}, {job['name']} over {', '.join(job['symbols'])}"
        for shown in (job["id"][-_SHORT_ID:], job["id"]):
            if shown.startswith(begun):
                found.append(CompletionItem(shown, help=about))
                break
    return found


def strategies(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of samples and of what the service has stored, and files."""
    from ktrdr import sample

    stored = _ask(context, "/api/v1/strategies", "stored")
    # Files come first: in bash their item takes back whatever stands before it.
    return [CompletionItem(begun, type="file"), *_beginning(begun, {*sample.strategies(), *stored})]


def symbols(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Symbols with prices; of a list with commas, the last one."""
    before, comma, last = begun.rpartition(",")
    known = {one["symbol"] for one in _ask(context, "/api/v1/datasets", "datasets") if one["kind"] != "series"}
    return _beginning(last, known, before=before + comma)


def _beginning(begun: str, words: Iterable[str], before: str = "") -> list[CompletionItem]:
    return [CompletionItem(before + word) for word in sorted(words) if word.startswith(begun)]


def _ask(context: click.Context, path: str, member: str) -> list[Any]:
    """A list that the service gives; nothing if it does not, for whatever reason: nobody could read an error here."""
    try:
        import httpx2

        from ktrdr.client.transport import open_http, token_for
        from ktrdr.settings import read_settings

        url = context.params.get("url") or read_settings().url
        seconds = float(os.environ.get("KTRDR_COMPLETION_SECONDS") or _SECONDS)
        with open_http(url, token_for(url, None), timeout=httpx2.Timeout(seconds)) as http:
            return list(http.get(path).json()[member])
    except Exception:
        return []
