"""What an examination found, in words, and what to do about it. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    #: What was examined.
    check: str
    #: ok; warn: it works, and something should be looked at; fail: it does not work.
    verdict: str
    found: str
    #: What to do; empty where nothing is to be done.
    fix: str = ""


Examination = Callable[[], Iterator[Finding]]


def ok(check: str, found: str) -> Finding:
    return Finding(check=check, verdict=OK, found=found)


def warn(check: str, found: str, fix: str) -> Finding:
    return Finding(check=check, verdict=WARN, found=found, fix=fix)


def fail(check: str, found: str, fix: str) -> Finding:
    return Finding(check=check, verdict=FAIL, found=found, fix=fix)


def examined(check: str, examination: Examination) -> Iterator[Finding]:
    """What an examination finds; one that breaks has found that something is wrong."""
    try:
        yield from examination()
    except Exception as error:
        yield fail(check, f"the examination broke: {type(error).__name__}: {error}", "report this to ktrdr's authors")
