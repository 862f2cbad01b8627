"""`ktrdr audit export`: the log for other programs, and one job as a bundle. Imports click; the audit when it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrdr.cli.installation import existing_store
from ktrdr.cli.job_ids import stored_job_id
from ktrdr.cli.options import Word, json_option
from ktrdr.cli.output import put, put_json, say

if TYPE_CHECKING:
    from ktrdr.audit.export import Stretch
    from ktrdr.jobs.events import JobId
    from ktrdr.store import Store
    from ktrdr.store.reader import Reader

_SUFFIXES = {"cloudevents": "jsonl", "parquet": "parquet"}


@click.command()
@click.option("--format", "form", type=Word([*_SUFFIXES]), help="As what the events are written.")
@click.option("--bundle", metavar="JOB", help="Export this job as a bundle instead.")
@click.option("--job", metavar="JOB", help="Only the events of this job.")
@click.option("--after", type=click.IntRange(0), metavar="POSITION", help="Only events after this position.")
@click.option("--until", type=click.IntRange(0), metavar="POSITION", help="Only events up to this position.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File or folder.  [default: this folder]")
@json_option
def export(
    *,
    form: str | None,
    bundle: str | None,
    job: str | None,
    after: int | None,
    until: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Exports events as CloudEvents (JSON lines) or Parquet, or a job as a bundle that verifies offline.

    A bundle is a zip file: the job's events, the proof that the log holds them, its model, a verifier of one file that
    needs nothing but Python, and a page for any browser that tells the job's story and verifies it. Works on the
    installation of this machine, also beside the running service. With `-o -`, CloudEvents go to stdout.

    \b
    Examples:
      ktrdr audit export --format cloudevents -o - | jq -r .type
      ktrdr audit export --format parquet --after 120000 -o events.parquet
      ktrdr audit export --bundle 3f2a9c1b -o bundles/
    """
    if (form is None) == (bundle is None):
        raise click.UsageError("say either --format or --bundle")
    if bundle is not None and (job, after, until) != (None, None, None):
        raise click.UsageError("a bundle holds every event of its job: leave out --job, --after and --until")
    if form == "parquet" and output == Path("-"):
        raise click.UsageError("a Parquet file cannot be written to stdout; name a file with -o")
    store = existing_store()
    with closing(store.open_reader()) as reader:
        written: Path | None
        if bundle is not None:
            written = _export_bundle(store, _known_job(reader, bundle), output or Path())
        else:
            from ktrdr.audit.export import Stretch

            wanted = Stretch(after=after or 0, until=until, job_id=_known_job(reader, job) if job else None)
            written = _export_events(store, reader, form or "", wanted, output or Path())
    if written is None:
        return
    if as_json:
        put_json({"path": str(written), "bytes": written.stat().st_size})
    else:
        put(str(written))


def _export_bundle(store: Store, job_id: JobId, target: Path) -> Path:
    from ktrdr.audit.archive import ArchiveError
    from ktrdr.audit.bundle import make_bundle
    from ktrdr.audit.signed.signing import SigningError
    from ktrdr.files import write_whole
    from ktrdr.training.model_directory import SavedModelError

    with closing(store.open_log()) as log:
        try:
            content = make_bundle(store, log, job_id)
        except (ArchiveError, SavedModelError, SigningError) as error:
            raise click.ClickException(str(error)) from None
    path = target / f"bundle-{job_id}.zip" if target.is_dir() else target
    write_whole(path, content)
    return path


def _export_events(store: Store, reader: Reader, form: str, wanted: Stretch, target: Path) -> Path | None:
    """Where they are now; None if they went to stdout."""
    from ktrdr.audit.export import write_cloud_events, write_parquet
    from ktrdr.store.tree import read_head

    with store.engine.connect() as connection:
        origin = read_head(connection).origin
    if target == Path("-"):
        write_cloud_events(reader, wanted, origin, sys.stdout.buffer)
        return None
    path = target / f"events-{wanted.job_id or 'all'}.{_SUFFIXES[form]}" if target.is_dir() else target
    with _appearing_whole(path) as partial:
        if form == "parquet":
            count = write_parquet(reader, wanted, partial)
        else:
            with partial.open("wb") as file:
                count = write_cloud_events(reader, wanted, origin, file)
    say(f"{count:,} events")
    return path


@contextmanager
def _appearing_whole(path: Path) -> Iterator[Path]:
    """Where to write a file that shall get its name only once it is whole."""
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _known_job(reader: Reader, given: str) -> JobId:
    """The job that an id, or a part of one, means. Raises a usage error if there is none."""
    from ktrdr.jobs.events import JobId
    from ktrdr.jobs.refusals import UnknownJobError

    job_id = JobId(stored_job_id(reader, given))
    try:
        reader.job(job_id)
    except UnknownJobError as error:
        raise click.BadParameter(f"{error}; {error.fix}", param_hint="JOB") from None
    return job_id
