"""`ktrdr doctor`: examines this installation and the service, and says what to do. Imports click; the rest at need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ktrdr.cli.exit_codes import REFUSED
from ktrdr.cli.options import json_option, url_option
from ktrdr.cli.output import put, put_json, put_styled, say

if TYPE_CHECKING:
    from ktrdr.cli.diagnosis.findings import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command()
@url_option
@json_option
def doctor(url: str | None, as_json: bool) -> None:
    """Examines this installation and the service: each check with what was found and, if need be, what to do.

    Versions, settings, home folder, disk, database, locks, clocks, port, API, token, workers, scheduler, signing key.
    Nothing is changed, and it works whether the service is up or not. Exit code 1 if a check failed; warnings are none.

    \b
    Examples:
      ktrdr doctor
      ktrdr doctor --url http://10.0.0.5:8321
      ktrdr doctor --json | jq '.checks[] | select(.verdict != "ok")'
    """
    findings: list[Finding] = []
    for finding in _findings(url):
        findings.append(finding)
        if not as_json:
            _put(finding)
    failed, warned = (sum(one.verdict == verdict for one in findings) for verdict in ("fail", "warn"))
    if as_json:
        put_json({"sound": not failed, "checks": [asdict(one) for one in findings]})
    else:
        say(f"{len(findings)} checks: {failed} failed, {warned} to look at")
    if failed:
        raise click.exceptions.Exit(REFUSED)


def _findings(url: str | None) -> Iterator[Finding]:
    from ktrdr.cli.diagnosis import database, machine, service
    from ktrdr.cli.diagnosis.findings import examined, fail, ok
    from ktrdr.settings import read_settings
    from ktrdr.training.faults import InvalidInputError

    yield from examined("installation", machine.installation)
    try:
        settings = read_settings()
    except InvalidInputError as error:
        for fault in error.faults:
            yield fail("settings", f"{fault.dotted}: {fault.problem}", fault.fix)
        settings = read_settings({})
    else:
        yield ok("settings", "every variable can be read (ktrdr config shows them)")
    yield from examined("home", lambda: machine.home_folder(settings.home))
    yield from examined("kernel", machine.kernel)
    yield from examined("database", lambda: database.database(settings))
    yield from examined("signing key", lambda: database.signing_key(settings))
    yield from examined("api", lambda: service.service((url or settings.url).rstrip("/"), settings))


def _put(finding: Finding) -> None:
    line = f"  {finding.check:<15}  {finding.found}"
    put_styled((f"{finding.verdict:<4}", _STYLES[finding.verdict]), (line, ""))
    if finding.fix:
        put(f"{'':<23}fix: {finding.fix}")
