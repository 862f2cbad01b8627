"""`ktrdr audit rederive`: the same models again, from the log alone. Imports click; the store when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrdr.cli.installation import existing_store
from ktrdr.cli.job_ids import stored_job_id
from ktrdr.cli.options import complete_job_ids, json_option
from ktrdr.cli.output import is_terminal, put, put_json, say
from ktrdr.sentences import seconds_text

if TYPE_CHECKING:
    from ktrdr.audit.rederivation.rederive import Progress, Rederivation
    from ktrdr.jobs.events import JobId
    from ktrdr.store import Store
    from ktrdr.store.reader import Reader

#: Exit codes beside 0 for identical.
DIFFERS, NOT_ATTEMPTABLE = 1, 7
_PAGE = 500


@click.command()
@click.argument("jobs", nargs=-1, metavar="JOB...", shell_complete=complete_job_ids)
@click.option("--all", "every", is_flag=True, help="Every job that has ended, the oldest first.")
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="A folder in which the models made stay."
)
@json_option
def rederive(jobs: tuple[str, ...], every: bool, keep: Path | None, as_json: bool) -> None:
    """Trains jobs again from the log alone and says whether their models are the same, bit for bit.

    Runs in a fresh process, under the numeric profile that was recorded, and changes nothing. Exit code 0 if everything
    is identical, 1 if something differs, and otherwise 7 if something could not be attempted here.

    \b
    Examples:
      ktrdr audit rederive 019f2a
      ktrdr audit rederive --all --json
      ktrdr audit rederive 019f2a --keep /tmp/models
    """
    from ktrdr.audit.rederivation.rederive import Outcome
    from ktrdr.audit.rederivation.rederive import rederive as train_again

    if bool(jobs) == every:
        raise click.UsageError("name the jobs, or give --all")
    store = existing_store()
    outcomes: list[Outcome] = []
    for job_id in _chosen(store, jobs):
        verdict = train_again(store, job_id, progress=_progress_of(job_id), keep=keep)
        outcomes.append(verdict.outcome)
        if as_json:
            put_json(asdict(verdict))
        else:
            put_verdict(verdict)
    if not as_json and len(outcomes) > 1:
        put(", ".join(f"{outcomes.count(one)} {one.replace('_', ' ')}" for one in Outcome))
    for outcome, code in ((Outcome.DIFFERS, DIFFERS), (Outcome.NOT_ATTEMPTABLE, NOT_ATTEMPTABLE)):
        if outcome in outcomes:
            raise click.exceptions.Exit(code)


def put_verdict(verdict: Rederivation) -> None:
    """The verdict in plain words, on one line, and what belongs to it below."""
    put(f"{verdict.job_id}  {verdict.sentence} ({seconds_text(verdict.seconds)})")
    if verdict.fix:
        put(f"  fix: {verdict.fix}")
    for note in verdict.notes:
        put(f"  note: {note}")


def _chosen(store: Store, given: Sequence[str]) -> Iterator[JobId]:
    from ktrdr.jobs.events import JobId
    from ktrdr.jobs.refusals import UnknownJobError

    reader = store.open_reader()
    try:
        ids = [JobId(stored_job_id(reader, one)) for one in given] if given else list(_ended(reader))[::-1]
        for job_id in ids:
            reader.job(job_id)
    except UnknownJobError as error:
        raise click.BadParameter(f"{error}; {error.fix}", param_hint="JOB") from None
    finally:
        reader.close()
    yield from ids


def _ended(reader: Reader) -> Iterator[JobId]:
    """The jobs that have ended, the newest first."""
    from ktrdr.jobs.state import Status
    from ktrdr.store.reader import JobFilter

    wanted = JobFilter(statuses=[status for status in Status if status.is_final])
    before = None
    while page := reader.jobs(wanted, before=before, limit=_PAGE):
        yield from (state.job_id for _, state in page)
        before = page[-1][0]


def _progress_of(job_id: JobId) -> Progress | None:
    """Tells people who watch how far it is."""
    if not is_terminal():
        return None

    def tell(done: int, epochs: int) -> None:
        if done == epochs or done % max(1, epochs // 10) == 0:
            say(f"{job_id}: {done} of {epochs} epochs as recorded")

    return tell
