"""Options that many commands share. Imports click; the client and the settings when they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ktrdr.client import Client


def _completing(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """A function of `ktrdr.cli.completing`, which is imported when a shell asks."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        from ktrdr.cli import completing

        found: list[CompletionItem] = getattr(completing, name)(context, parameter, begun)
        return found

    return complete


complete_job_ids = _completing("job_ids")
complete_strategies = _completing("strategies")
complete_symbols = _completing("symbols")


class Word(click.Choice[str]):
    """One of some words; a mistyped one is told which it was meant to be."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        from difflib import get_close_matches

        message = super().get_invalid_choice_message(value, ctx)
        nearest = get_close_matches(str(value).lower(), self.choices, n=1, cutoff=0.5)
        return f"{message} Did you mean {nearest[0]!r}?" if nearest else message


json_option = click.option("--json", "as_json", is_flag=True, help="Give JSON (times in UTC) instead of text.")
id_argument = click.argument("job_id", metavar="ID", shell_complete=complete_job_ids)
target_option = click.option("--target", type=Word(["local", "host", "auto"]), help="Which workers may run it.")
url_option = click.option(
    "--url", envvar="KTRDR_URL", show_envvar=True, help="Where the service is.  [default: http://127.0.0.1:8321]"
)
as_of_option = click.option(
    "--as-of", metavar="MOMENT", help="As of then: a position of the log, a time, or a day, which counts to its end."
)
#: An argument or option that names a file to read as text; `-` is stdin.
text_file = click.File(encoding="utf-8", errors="replace")


def connect_to(url: str | None) -> Client:
    """A client of the service at `url`, or where the settings say it is."""
    from ktrdr.client import connect
    from ktrdr.settings import read_settings

    return connect(url or read_settings().url)


def split_list(text: str | None) -> list[str] | None:
    """`AAPL,IBM` as a list; None if nothing was said."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None
