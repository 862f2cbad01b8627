"""`ktrdr report`: what a model is worth, as a page to look at. Imports click; the client when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ktrdr.cli.job_ids import full_job_id
from ktrdr.cli.options import connect_to, id_argument, json_option, url_option
from ktrdr.cli.output import put, put_json, say


@click.command()
@id_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File or folder.  [default: report-ID.html]")
@url_option
@json_option
def report(job_id: str, output: Path | None, url: str | None, as_json: bool) -> None:
    """Writes the report of a completed job: one HTML file with everything in it, for any browser.

    Metrics beside those of no skill, trades beside buying and holding, losses, calibration, importance of the inputs,
    fuzzy sets over their indicators, and warnings where a result is not what it seems. With --json its figures go to
    stdout, and a page is written only if --output names one.

    \b
    Examples:
      ktrdr report 3f2a9c1b
      ktrdr report 3f2a9c1b -o reports/
      ktrdr report 3f2a9c1b --json | jq .warnings
    """
    with connect_to(url) as client:
        full_id = full_job_id(client, job_id)
        if not as_json or output is not None:
            target = output or Path()
            written = client.report_page(full_id, target / f"report-{full_id}.html" if target.is_dir() else target)
            (say if as_json else put)(str(written))
        if as_json:
            put_json(client.report(full_id))
