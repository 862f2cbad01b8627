"""A job's events with what was pruned, from the installation of this machine. Imports click; the audit when used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ktrdr.cli.installation import existing_store
from ktrdr.cli.job_ids import stored_job_id

if TYPE_CHECKING:
    from ktrdr.api.views import EventView


def archived_events(given: str) -> list[EventView]:
    """The events of a job, as the API gave them before. Raises ClickException for a damaged archive."""
    from ktrdr.api.views import event_text
    from ktrdr.audit.archive import ArchiveError, full_history
    from ktrdr.jobs.events import JobId
    from ktrdr.jobs.refusals import UnknownJobError

    store = existing_store()
    reader = store.open_reader()
    job_id = JobId(stored_job_id(reader, given))
    reader.close()
    try:
        return [json.loads(event_text(event)) for event in full_history(store, job_id)]
    except (ArchiveError, UnknownJobError) as error:
        raise click.ClickException(str(error)) from None
