"""Events to their stored text and back, and the leaf hash that commits to both event and envelope.

Imports the standard library only. Upcasters for old schema versions live here; every other module sees current events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any, get_args

from ktrdr.jobs.canonical import LARGEST_INTEGER, dumps
from ktrdr.jobs.events import CancelOutcome, JobEvent, Recorded, Relation, RequeueReason, Target, TerminalEvent

EVENT_TYPES: dict[str, type[Any]] = {event.__name__: event for event in get_args(JobEvent)}
TERMINAL_TYPES = tuple(event.__name__ for event in get_args(TerminalEvent))

#: (type, old schema) → a function from the data of that schema to the data of the next one.
UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}

#: Fields whose text is one of an enumeration, by the class that declares them.
_ENUMERATIONS: dict[tuple[str, str], Callable[[str], object]] = {
    ("JobSubmitted", "target"): Target,
    ("JobSubmitted", "relation"): Relation,
    ("JobRequeued", "reason"): RequeueReason,
    ("JobCancelled", "outcome"): CancelOutcome,
}
_FIELDS = {event: tuple(field.name for field in fields(event)) for event in EVENT_TYPES.values()}
#: The same in the order of canonical JSON, each with the text that stands before its value.
_KEYS = {event: [(f'"{name}":', name) for name in sorted(names)] for event, names in _FIELDS.items()}


def event_data(event: JobEvent) -> dict[str, Any]:
    """The fields of an event as plain data."""
    return {name: getattr(event, name) for name in _FIELDS[type(event)]}


def encode(event: JobEvent) -> str:
    """The canonical JSON text of an event's fields. Raises ValueError for numbers that JSON cannot hold."""
    return "{" + ",".join([key + dumps(getattr(event, name)) for key, name in _KEYS[type(event)]]) + "}"


def decode(event_type: str, schema: int, data: str) -> JobEvent:
    """The event that `encode` wrote, brought up to the current schema.

    Raises ValueError for a type or schema that this version does not know: the log was written by a newer one.
    """
    current = EVENT_TYPES.get(event_type)
    if current is None or schema > current.SCHEMA:
        raise ValueError(
            f"this version of ktrdr does not know {event_type} of schema {schema}; a newer one wrote the log"
        )
    values = json.loads(data, parse_int=_integer)
    for old in range(schema, current.SCHEMA):
        values = UPCASTERS[event_type, old](values)
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        elif value is not None and (event_type, name) in _ENUMERATIONS:
            values[name] = _ENUMERATIONS[event_type, name](value)
    event: JobEvent = current(**values)
    return event


def _integer(digits: str) -> int | float:
    """The number that was written: canonical JSON gives whole floats no point, and holds no integer beyond 2^53 - 1."""
    value = int(digits)
    return value if abs(value) <= LARGEST_INTEGER else float(value)


def leaf_hash(
    *, position: int, job_id: str, version: int, event_type: str, schema: int, data: str, actor: str, at: str
) -> bytes:
    """The RFC 6962 leaf hash (SHA-256 over 0x00 and the entry) of one stored event.

    The entry is the canonical JSON of the envelope with the event's data inside. It is put together from its parts
    because `data` is canonical already and the keys stand in order.
    """
    entry = (
        f'{{"actor":{dumps(actor)},"data":{data},"job_id":"{job_id}","position":{position},'
        f'"recorded_at":"{at}","schema":{schema},"type":"{event_type}","version":{version}}}'
    )
    return sha256(b"\0" + entry.encode()).digest()


def envelope(recorded: Recorded) -> Mapping[str, Any]:
    """A recorded event as plain data, in the form that the API serves and exports use."""
    event = recorded.event
    return {
        "position": recorded.position,
        "job_id": recorded.job_id,
        "version": recorded.version,
        "type": type(event).__name__,
        "schema": event.SCHEMA,
        "recorded_at": recorded.at,
        "actor": recorded.actor,
        "data": event_data(event),
    }
