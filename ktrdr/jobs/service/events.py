"""Every fact that can be recorded about the service itself, as typed immutable values named in the past tense.

Imports the standard library only. The rules for changing a type are those of `ktrdr.jobs.events`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ktrdr.jobs.events import Instant, JobId, Json, ServiceEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChanged(ServiceEvent):
    """The operator set something while the service ran."""

    SCHEMA: ClassVar[int] = 1
    name: str
    #: JSON; None goes back to the default.
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated(ServiceEvent):
    """Whoever shows the token may do what its scopes allow."""

    SCHEMA: ClassVar[int] = 1
    name: str
    scopes: tuple[str, ...]
    #: SHA-256 of the token, which itself is kept nowhere. (It is 256 random bits: there is nothing to guess.)
    hash: str
    #: None = never.
    expires_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked(ServiceEvent):
    SCHEMA: ClassVar[int] = 1
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCreated(ServiceEvent):
    """Trainings shall be submitted by the clock from now on."""

    SCHEMA: ClassVar[int] = 1
    name: str
    #: All of it (`ktrdr.jobs.service.definition`).
    definition: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChanged(ServiceEvent):
    """Another definition holds from now on."""

    SCHEMA: ClassVar[int] = 1
    definition: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePaused(ServiceEvent):
    SCHEMA: ClassVar[int] = 1
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleResumed(ServiceEvent):
    SCHEMA: ClassVar[int] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFired(ServiceEvent):
    """The schedule submitted a job; that the job was submitted is recorded in the same transaction."""

    SCHEMA: ClassVar[int] = 1
    due_at: Instant
    job_id: JobId
    #: `due`, `catch_up` (it was missed before) or `now` (someone asked for it).
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringSkipped(ServiceEvent):
    """Moments at which the schedule was due passed without a job."""

    SCHEMA: ClassVar[int] = 1
    due_at: Instant
    #: The last of them, if there were several in a row; otherwise `due_at` again.
    until: Instant
    count: int
    #: `misfire`, `overlap`, `paused`, `refused` or `changed`.
    reason: str
    #: The reason in words.
    detail: str
    #: Of an overlap: the job before.
    job_id: JobId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDeleted(ServiceEvent):
    SCHEMA: ClassVar[int] = 1


SERVICE_EVENTS: tuple[type[ServiceEvent], ...] = (
    SettingChanged, TokenCreated, TokenRevoked, ScheduleCreated, ScheduleChanged, SchedulePaused, ScheduleResumed,
    ScheduleFired, FiringSkipped, ScheduleDeleted,
)  # fmt: skip
