"""The things of the service that events are about: what they are called, and what their events add up to.

Imports the standard library only. Like that of a job, the fold of a subject is total: it never raises, looks at no
clock and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from ktrdr.jobs.events import JobId, Recorded
from ktrdr.jobs.service.schedules import Schedule, schedule_changes
from ktrdr.jobs.service.settings import Setting, setting_changes
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.service.tokens import Token, token_changes

SubjectType = TypeVar("SubjectType", bound=Subject)
#: What the name of a subject looks like, for people.
NAME_FORM = "1 to 63 characters: small letters, digits, and . _ - between them"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of subject: its class, and what an event changes of one."""

    subject: type[Subject]
    changes: Callable[[Any, Recorded], Mapping[str, Any]]


KINDS: dict[str, Kind] = {
    "schedule": Kind(Schedule, schedule_changes),
    "setting": Kind(Setting, setting_changes),
    "token": Kind(Token, token_changes),
}
_NAMES_OF_KINDS = {kind.subject: name for name, kind in KINDS.items()}
_TUPLES = {
    kind.subject: tuple(field.name for field in fields(kind.subject) if str(field.type).startswith("tuple["))
    for kind in KINDS.values()
}


def kind_name(subject: type[Subject]) -> str:
    """What the ids of a class of subjects begin with."""
    return _NAMES_OF_KINDS[subject]


def is_subject_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def subject_id(subject: type[Subject], name: str) -> JobId:
    """The id that the events of a subject stand under. Raises ValueError for a name that cannot be one."""
    if not is_subject_name(name):
        raise ValueError(f"{name!r} is no name: {NAME_FORM}")
    return JobId(f"{kind_name(subject)}:{name}")


def is_subject_id(stream: object) -> bool:
    """Whether an id of the log is that of a subject; otherwise it is a job's."""
    return isinstance(stream, str) and ":" in stream


def no_subject(stream: str) -> Subject:
    """The subject before its first event. Raises ValueError for an id of a kind that this version does not know."""
    kind = KINDS.get(stream.partition(":")[0])
    if kind is None:
        raise ValueError(f"this version of ktrdr knows nothing of the kind of {stream!r}; a newer one wrote the log")
    return kind.subject(id=JobId(stream))


def evolve_subject(subject: SubjectType, recorded: Recorded) -> SubjectType:
    """The subject after one more of its events."""
    return replace(
        subject,
        **KINDS[kind_name(type(subject))].changes(subject, recorded),
        version=recorded.version,
        position=recorded.position,
        updated_at=recorded.at,
        updated_by=recorded.actor,
    )


def fold_subject(history: Iterable[Recorded], subject: SubjectType) -> SubjectType:
    """The subject after a history of its own, oldest event first."""
    for recorded in history:
        subject = evolve_subject(subject, recorded)
    return subject


def subject_data(subject: Subject) -> dict[str, Any]:
    """The subject as plain data, without what is as in one that does not exist yet."""
    return {field.name: value for field in fields(subject) if (value := getattr(subject, field.name)) != field.default}


def subject_from_data(data: Mapping[str, Any]) -> Subject:
    """The subject that `subject_data` gave, after a journey through JSON."""
    subject = no_subject(data["id"])
    read: dict[str, Any] = {
        name: tuple(value) if name in _TUPLES[type(subject)] else value for name, value in data.items()
    }
    return replace(subject, **read)
