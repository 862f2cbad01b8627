"""Options that many commands share. Imports click; the client and the settings when they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ktrdr.client import Client

json_option = click.option("--json", "as_json", is_flag=True, help="Give JSON (times in UTC) instead of text.")
id_argument = click.argument("job_id", metavar="ID")
target_option = click.option("--target", type=click.Choice(["local", "host", "auto"]), help="Which workers may run it.")
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
