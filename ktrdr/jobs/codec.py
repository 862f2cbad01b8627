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
from ktrdr.jobs.events import (
    CancelOutcome,
    JobEvent,
    PrunableEvent,
    Pruned,
    Recorded,
    Relation,
    RequeueReason,
    ServiceEvent,
    Target,
    TerminalEvent,
)
from ktrdr.jobs.service.events import SERVICE_EVENTS

EVENT_TYPES: dict[str, type[Any]] = {event.__name__: event for event in (*get_args(JobEvent), *SERVICE_EVENTS)}
TERMINAL_TYPES = tuple(event.__name__ for event in get_args(TerminalEvent))
PRUNABLE_TYPES = tuple(event.__name__ for event in get_args(PrunableEvent))


def _without_trace(job_submitted: dict[str, Any]) -> dict[str, Any]:
    return job_submitted | {"traceparent": None}


def _with_unknown_tensors(epoch_finished: dict[str, Any]) -> dict[str, Any]:
    return epoch_finished | {"tensors": ""}


#: (type, old schema) → a function from the data of that schema to the data of the next one.
UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    ("EpochFinished", 1): _with_unknown_tensors,
    ("JobSubmitted", 1): _without_trace,
}

#: Fields whose text is one of an enumeration, by the class that declares them.
_ENUMERATIONS: dict[str, dict[str, Callable[[str], object]]] = {
    "JobSubmitted": {"target": Target, "relation": Relation},
    "JobRequeued": {"reason": RequeueReason},
    "JobCancelled": {"outcome": CancelOutcome},
}
_FIELDS = {event: tuple(field.name for field in fields(event)) for event in EVENT_TYPES.values()}
#: Those that hold tuples, which JSON knows as lists.
_TUPLES = {
    event: tuple(field.name for field in fields(event) if str(field.type).startswith("tuple["))
    for event in EVENT_TYPES.values()
}
#: The fields in the order of canonical JSON, each with the text that stands before its value.
_KEYS = {event: [(f'"{name}":', name) for name in sorted(names)] for event, names in _FIELDS.items()}


def event_data(event: JobEvent | ServiceEvent) -> dict[str, Any]:
    """The fields of an event as plain data."""
    return {name: getattr(event, name) for name in _FIELDS[type(event)]}


def encode(event: JobEvent | ServiceEvent) -> str:
    """The canonical JSON text of an event's fields. Raises ValueError for numbers that JSON cannot hold."""
    return "{" + ",".join([key + dumps(getattr(event, name)) for key, name in _KEYS[type(event)]]) + "}"


def decode(event_type: str, schema: int, data: str) -> JobEvent | ServiceEvent | Pruned:
    """The event that `encode` wrote, brought up to the current schema; Pruned where its data was emptied.

    Raises ValueError for a type or schema that this version does not know: the log was written by a newer one.
    """
    if data == "" and event_type in PRUNABLE_TYPES:
        return Pruned(type=event_type, schema=schema)
    return from_values(event_type, schema, parse(data))


def parse(data: str) -> dict[str, Any]:
    """The fields of a stored event as plain data, whatever its schema. Raises ValueError if it is no JSON object."""
    values, end = _decoder.raw_decode(data)
    if end != len(data) or not isinstance(values, dict):
        raise ValueError(f"{data[:80]!r} is no JSON object")
    return values


def from_values(event_type: str, schema: int, values: dict[str, Any]) -> JobEvent | ServiceEvent:
    """The same as `decode` from what `parse` gave, which is used up."""
    current = EVENT_TYPES.get(event_type)
    if current is None or schema > current.SCHEMA:
        raise ValueError(
            f"this version of ktrdr does not know {event_type} of schema {schema}; a newer one wrote the log"
        )
    for old in range(schema, current.SCHEMA):
        values = UPCASTERS[event_type, old](values)
    for name in _TUPLES[current]:
        values[name] = tuple(values[name])
    for name, enumeration in _ENUMERATIONS.get(event_type, {}).items():
        if values.get(name) is not None:
            values[name] = enumeration(values[name])
    event: JobEvent | ServiceEvent = current(**values)
    return event


def _integer(digits: str) -> int | float:
    """The number that was written: canonical JSON gives whole floats no point, and holds no integer beyond 2^53 - 1."""
    value = int(digits)
    return value if abs(value) <= LARGEST_INTEGER else float(value)


#: Made once: `json.loads` makes a decoder for each call that says how to read integers, which takes as long as reading.
_decoder = json.JSONDecoder(parse_int=_integer)


def entry_bytes(
    *, position: int, job_id: str, version: int, event_type: str, schema: int, data: str, actor: str, at: str
) -> bytes:
    """The entry of one stored event in the tree: the canonical JSON of its envelope with the event's data inside.

    It is put together from its parts because `data` is canonical already and the keys stand in order.
    """
    return (
        f'{{"actor":{dumps(actor)},"data":{data},"job_id":"{job_id}","position":{position},'
        f'"recorded_at":"{at}","schema":{schema},"type":"{event_type}","version":{version}}}'
    ).encode()


def leaf_hash(
    *, position: int, job_id: str, version: int, event_type: str, schema: int, data: str, actor: str, at: str
) -> bytes:
    """The RFC 6962 leaf hash (SHA-256 over 0x00 and the entry) of one stored event."""
    entry = entry_bytes(
        position=position, job_id=job_id, version=version, event_type=event_type, schema=schema, data=data,
        actor=actor, at=at,
    )  # fmt: skip
    return entry_hash(entry)


def entry_hash(entry: bytes) -> bytes:
    """The RFC 6962 leaf hash of an entry."""
    return sha256(b"\0" + entry).digest()


def envelope(recorded: Recorded) -> Mapping[str, Any]:
    """A recorded event as plain data, in the form that the API serves and exports use; pruned data is None."""
    event = recorded.event
    return {
        "position": recorded.position,
        "job_id": recorded.job_id,
        "version": recorded.version,
        "type": event.type if isinstance(event, Pruned) else type(event).__name__,
        "schema": event.schema if isinstance(event, Pruned) else event.SCHEMA,
        "recorded_at": recorded.at,
        "actor": recorded.actor,
        "data": None if isinstance(event, Pruned) else event_data(event),
    }
