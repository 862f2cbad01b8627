"""The installation of this machine, for commands that look at the database itself. Imports the store when one runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrdr.cli.output import is_terminal, say
from ktrdr.cli.service import open_installation

if TYPE_CHECKING:
    from ktrdr.store import Store


def existing_store() -> Store:
    """The installation's store; asked to look after one that is not there, it must not make an empty one."""
    from ktrdr.settings import read_settings

    settings = read_settings()
    if settings.database_url is None and not (settings.home / "ktrdr.db").is_file():
        raise click.ClickException(f"there is no database in {Path(settings.home)}; KTRDR_HOME says where to look")
    return open_installation()[0]


def counting(what: str) -> Callable[[int], None]:
    """Tells people who watch how far it is, once in a while."""
    told = 0

    def count(number: int) -> None:
        nonlocal told
        if is_terminal() and number - told >= 20_000:
            told = number
            say(f"{number:,} {what}")

    return count
