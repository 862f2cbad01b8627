"""What a schedule is: when it is due, what becomes of moments that were missed, and the training that it submits.

Imports the standard library only. A definition is plain data in the log; `read_definition` gives it its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ktrdr.jobs.events import Instant, Json
from ktrdr.jobs.service.timing import Timing, read_duration, read_timing


class Misfire(StrEnum):
    """What becomes of moments that nobody was there for within the grace."""

    #: They are skipped.
    SKIP = "skip"
    #: The newest of them is made up for, unless another one is due by now.
    ONCE = "once"
    #: Each of them is made up for.
    ALL = "all"


class Overlap(StrEnum):
    """What happens at a moment when the job before has not ended."""

    #: It is skipped.
    SKIP = "skip"
    #: Another job goes into the queue.
    QUEUE = "queue"


class WindowEnds(StrEnum):
    """Where the data of a sliding window ends."""

    #: At the moment that was due.
    DUE = "due"
    #: At the last bar that all symbols have.
    LAST_BAR = "last_bar"


class Seed(StrEnum):
    #: That of the training's request, or of its strategy.
    REQUEST = "request"
    #: Another one for each firing, which follows from the schedule and the moment.
    FIRING = "firing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    timing: Timing
    misfire: Misfire
    #: A firing that is later than this was missed.
    grace: timedelta
    overlap: Overlap
    #: How much data, counted back from its end; None leaves start and end to the request.
    window: timedelta | None
    end_lag: timedelta
    window_ends: WindowEnds
    seed: Seed
    #: The training, as the API takes it.
    job: Json


def read_definition(data: Mapping[str, Any]) -> Definition:
    """The meaning of a definition as the log has it. Raises ValueError for what cannot be one."""
    return Definition(
        timing=read_timing(
            cron=data["cron"],
            every=data["every"],
            timezone=data["timezone"],
            start=_moment(data["start"]),
            end=_moment(data["end"]),
        ),
        misfire=Misfire(data["misfire"]),
        grace=timedelta(seconds=data["grace_seconds"]),
        overlap=Overlap(data["overlap"]),
        window=read_duration(data["window"]) if data["window"] else None,
        end_lag=read_duration(data["end_lag"]) if data["end_lag"] else timedelta(),
        window_ends=WindowEnds(data["window_ends"]),
        seed=Seed(data["seed"]),
        job=data["job"],
    )


def _moment(instant: Instant | None) -> datetime | None:
    return datetime.fromisoformat(instant) if instant else None
