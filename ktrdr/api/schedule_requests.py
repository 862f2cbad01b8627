"""What a request says of a schedule, everything that is wrong with it, and the definition that it means.

Imports the domain of schedules and the submissions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import Field

from ktrdr.api.context import Context
from ktrdr.api.moments import read_instant
from ktrdr.api.requests import Body
from ktrdr.api.submissions import JobRequest, prepare
from ktrdr.clock import from_instant, system_clock, to_instant
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import parse
from ktrdr.jobs.events import Instant
from ktrdr.jobs.service.cron import parse_cron
from ktrdr.jobs.service.definition import Misfire, Overlap, Seed, WindowEnds
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.jobs.service.subjects import NAME_FORM, is_subject_name
from ktrdr.jobs.service.timing import DURATION_FORM, Timing, read_duration, read_timing, read_zone
from ktrdr.submission.firing import submission_of
from ktrdr.training.faults import Fault, InvalidInputError

T = TypeVar("T")
#: Stands at an address beside those of the schedules.
RESERVED_NAME = "preview"
_EITHER = "give either cron, as in '0 6 * * mon-fri', or every, as in 6h"

Misfires = Annotated[Misfire, Field(strict=False)]
Overlaps = Annotated[Overlap, Field(strict=False)]
Ends = Annotated[WindowEnds, Field(strict=False)]
Seeds = Annotated[Seed, Field(strict=False)]


class Timed(Body):
    """When something is due."""

    cron: str | None = Field(
        None, max_length=200, description="MINUTE HOUR DAY MONTH WEEKDAY, or @daily and the like, in the time zone."
    )
    every: str | None = Field(None, max_length=20, description=f"In place of cron, {DURATION_FORM}; from the start on.")
    timezone: str = Field("UTC", max_length=64, description="Of cron; a name of the IANA database.")
    start: str | None = Field(None, max_length=64, description="Nothing is due before; without it, from now on.")
    end: str | None = Field(None, max_length=64, description="Nothing is due after; a bare date includes that day.")


class TimingQuery(Timed):
    """When something would be due."""

    count: int = Field(5, ge=1, le=50, description="How many moments to tell.")


class ScheduleChange(Timed):
    """What a schedule is."""

    misfire: Misfires = Field(
        Misfire.ONCE,
        description="What becomes of moments that nobody was there for: they are skipped, the newest is made up for "
        "once, or all are.",
    )
    grace_seconds: float = Field(300, ge=0, le=604_800, description="A firing that is later than that was missed.")
    overlap: Overlaps = Field(
        Overlap.SKIP, description="When the job before has not ended: skip the moment, or queue another job."
    )
    window: str | None = Field(
        None, max_length=20, description=f"The data of a job reaches back so far from its end: {DURATION_FORM}."
    )
    end_lag: str | None = Field(None, max_length=20, description="The window ends so long before.")
    window_ends: Ends = Field(
        WindowEnds.DUE, description="At the moment that is due, or at the last bar that all symbols have."
    )
    seed: Seeds = Field(Seed.REQUEST, description="`firing` gives each job a seed of its own.")
    job: JobRequest = Field(description="What is submitted; its data and a strategy by name are those of the moment.")


class ScheduleRequest(ScheduleChange):
    """A training to be done by the clock."""

    name: str = Field(max_length=200, description=f"Cannot be changed: {NAME_FORM}.")


def faults_of_name(name: str) -> list[Fault]:
    if name == RESERVED_NAME:
        return [Fault(("name",), f"{name!r} cannot be the name of a schedule", "choose another")]
    return [] if is_subject_name(name) else [Fault(("name",), f"{name[:80]!r} is no name", NAME_FORM)]


def read_request_timing(asked: Timed, faults: list[Fault], *, start: Instant | None) -> Timing | None:
    """When it is due, counted from `start` if it does not say; None, once `faults` say why, if that cannot be read."""
    before = len(faults)
    if (asked.cron is None) == (asked.every is None):
        faults.append(Fault(("cron",), "cron and every are both missing" if asked.cron is None else
                            "cron and every are given both", _EITHER))  # fmt: skip
    if asked.cron is not None:
        _try(parse_cron, asked.cron, "cron", faults)
    if asked.every is not None:
        _try(read_duration, asked.every, "every", faults)
    _try(read_zone, asked.timezone, "timezone", faults)
    begin = read_instant(asked.start, "start", faults, end=False) or start
    end = read_instant(asked.end, "end", faults, end=True)
    if begin and end and asked.start and end < begin:
        faults.append(Fault(("end",), f"{asked.end} is before the start", "an end after the start"))
    if len(faults) > before:
        return None
    return read_timing(
        cron=asked.cron, every=asked.every, timezone=asked.timezone, start=_moment(begin), end=_moment(end)
    )  # fmt: skip


def definition_of_request(
    context: Context, asked: ScheduleChange, name: str, before: Schedule | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The definition that is asked for, and warnings of it. Raises InvalidInputError with every fault.

    An interval goes on from where the one `before` counted from, unless the request says another start.
    """
    faults: list[Fault] = []
    now = to_instant(system_clock())
    kept = before.definition["start"] if before and before.definition and before.definition["every"] else None
    timing = read_request_timing(asked, faults, start=(kept or now) if asked.every is not None else None)
    faults += _faults_of_window(asked) + _contradictions(asked) + _faults_of_job(context, asked.job)
    if faults or timing is None:
        raise InvalidInputError(faults)
    said = asked.model_dump(mode="json", include=set(ScheduleChange.model_fields))
    # As the log will give it back, where 30.0 is 30.
    definition = parse(dumps({**said, "start": _instant(timing.start), "end": _instant(timing.end)}))
    return definition, _warnings(context, definition, name, timing, now)


def faults_of_change(context: Context, asked: ScheduleChange) -> Sequence[Fault]:
    """What is wrong with the meaning of a request whose form is wrong elsewhere."""
    try:
        definition_of_request(context, asked, RESERVED_NAME)
    except InvalidInputError as error:
        return error.faults
    return ()


def _faults_of_window(asked: ScheduleChange) -> list[Fault]:
    faults: list[Fault] = []
    for name in ("window", "end_lag"):
        text = getattr(asked, name)
        if text is not None:
            _try(read_duration, text, name, faults)
    if asked.window is None:
        if asked.end_lag is not None:
            faults.append(Fault(("end_lag",), "there is no window that could end earlier", "give a window, as in 730d"))
        if asked.window_ends is not WindowEnds.DUE:
            faults.append(
                Fault(("window_ends",), "there is no window that could end there", "give a window, as in 730d")
            )
        return faults
    return faults + [
        Fault(("job", name), "the window says which data the job has", "leave out one of the two")
        for name in ("start", "end")
        if getattr(asked.job, name) is not None
    ]


def _contradictions(asked: ScheduleChange) -> list[Fault]:
    faults = []
    if asked.misfire is Misfire.ALL and asked.overlap is Overlap.SKIP:
        fix = "give overlap: queue too"
        faults.append(
            Fault(("misfire",), "what is made up for comes at once, and all but the first would overlap", fix)
        )
    if asked.seed is Seed.FIRING and asked.job.seed is not None:
        fix = "leave out one of the two"
        faults.append(Fault(("job", "seed"), "each firing has a seed of its own (seed: firing)", fix))
    return faults


def _faults_of_job(context: Context, job: JobRequest) -> list[Fault]:
    """What a submission of the job would be told now."""
    try:
        prepare(
            job, "", None, default_target=context.settings.default_target, reader=context.reader,
            cache=context.strategies,
        )  # fmt: skip
    except InvalidInputError as error:
        return [replace(fault, path=("job", *fault.path)) for fault in error.faults]
    return []


def _warnings(context: Context, definition: dict[str, Any], name: str, timing: Timing, now: Instant) -> list[str]:
    """What will not be as whoever asks might expect."""
    first = timing.next(from_instant(now))
    if first is None:
        return [f"it never fires: its end, {definition['end']}, is over before it is due"]
    schedule = Schedule(id=f"schedule:{name}", definition=definition)  # type: ignore[arg-type]
    try:
        submission_of(
            schedule, to_instant(first), default_target=context.settings.default_target, reader=context.reader,
            cache=context.strategies,
        )  # fmt: skip
    except InvalidInputError as error:
        return [f"with the data of today its first firing would be skipped: {error}"]
    return []


def _try(read: Callable[[str], T], text: str, name: str, faults: list[Fault]) -> None:
    try:
        read(text)
    except ValueError as error:
        problem, _, fix = str(error).partition(": write ")
        faults.append(Fault((name,), problem, f"write {fix}" if fix else ""))


def _moment(instant: Instant | None) -> datetime | None:
    return from_instant(instant) if instant else None


def _instant(moment: datetime | None) -> Instant | None:
    return to_instant(moment) if moment else None
