"""Job ids as people give them: a beginning or an end is enough. Imports click."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ktrdr.client import Client
    from ktrdr.store.reader import Reader

#: How far back a part of an id is looked for.
_RECENT = 2000
_FULL_LENGTH = 36


def full_job_id(client: Client, given: str) -> str:
    """The id that a beginning or an end of it means. Raises a usage error if it means several."""
    if len(given) >= _FULL_LENGTH:
        return given
    return _meant(given, (job["id"] for job in client.jobs(limit=_RECENT)))


def stored_job_id(reader: Reader, given: str) -> str:
    """The same, of the installation of this machine."""
    from ktrdr.store.reader import JobFilter

    if len(given) >= _FULL_LENGTH:
        return given
    return _meant(given, (state.job_id for _, state in reader.jobs(JobFilter(), limit=_RECENT)))


def _meant(given: str, ids: Iterable[str]) -> str:
    found = [one for one in ids if one.startswith(given) or one.endswith(given)]
    if len(found) > 1:
        shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise click.BadParameter(f"{given!r} may be any of {shown}; give more of it", param_hint="ID")
    return found[0] if found else given  # whoever is asked for it then says that there is no such job
