"""Events go to text and back unchanged, old ones are brought up to date, and the leaf hash covers the envelope."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from job_builders import CHECKPOINT, COMPLETED, EPOCH, JOB, NOON, RESUMED, SUBMITTED
from job_strategies import events, events_of, texts

from ktrdr.jobs.canonical import Encoded, dumps
from ktrdr.jobs.codec import EVENT_TYPES, UPCASTERS, decode, encode, envelope, event_data, leaf_hash
from ktrdr.jobs.events import CheckpointSaved, Position, Recorded, Relation


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=EVENT_TYPES.keys())
@given(data=st.data())
def test_an_event_survives_the_journey_through_text(event_type: type[Any], data: st.DataObject) -> None:
    event = data.draw(events_of(event_type))
    again = decode(event_type.__name__, event_type.SCHEMA, encode(event))
    assert again == event
    assert encode(again) == encode(event)


def test_enumerated_fields_come_back_as_members_and_not_as_text() -> None:
    again: Any = decode("JobSubmitted", 1, encode(SUBMITTED))
    assert type(again.target) is type(SUBMITTED.target)
    assert isinstance(again.symbols, tuple)
    retry: Any = decode("JobSubmitted", 1, encode(replace(SUBMITTED, parent=JOB, relation=Relation.RETRY)))
    assert (retry.parent, retry.relation) == (JOB, Relation.RETRY)
    assert type(retry.relation) is Relation
    resumed: Any = decode("TrainingResumed", 1, encode(RESUMED))
    assert isinstance(resumed.passed_over, tuple)


def test_a_strategy_that_carries_its_text_is_encoded_like_any_other() -> None:
    changed = {name: getattr(SUBMITTED, name) for name in event_data(SUBMITTED)}
    assert encode(type(SUBMITTED)(**{**changed, "strategy": Encoded(SUBMITTED.strategy)})) == encode(SUBMITTED)


@pytest.mark.parametrize(("event_type", "schema"), [("JobTeleported", 1), ("JobCompleted", 2)])
def test_an_event_of_a_newer_version_is_refused_and_the_message_says_so(event_type: str, schema: int) -> None:
    with pytest.raises(ValueError, match=f"does not know {event_type} of schema {schema}; a newer one wrote the log"):
        decode(event_type, schema, encode(COMPLETED))


def test_an_old_event_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointSaved, "SCHEMA", 3)
    monkeypatch.setitem(UPCASTERS, ("CheckpointSaved", 1), lambda old: {"epoch": old["epoch"], "digest": old["hash"]})
    monkeypatch.setitem(UPCASTERS, ("CheckpointSaved", 2), lambda old: old | {"bytes": -1})

    def fields(schema: int, text: str) -> dict[str, Any]:
        return event_data(decode("CheckpointSaved", schema, text))

    assert fields(1, '{"epoch":4,"hash":"abc"}') == {"epoch": 4, "digest": "abc", "bytes": -1}
    assert fields(2, '{"digest":"abc","epoch":4}') == {"epoch": 4, "digest": "abc", "bytes": -1}
    assert fields(3, encode(CHECKPOINT)) == event_data(CHECKPOINT)


def test_an_epoch_of_schema_1_has_no_digests_of_tensors() -> None:
    old = {name: value for name, value in event_data(EPOCH).items() if name != "tensors"}
    assert decode("EpochFinished", 1, dumps(old)) == replace(EPOCH, tensors="")


def test_every_schema_older_than_the_present_one_has_an_upcaster() -> None:
    needed = {(name, old) for name, event_type in EVENT_TYPES.items() for old in range(1, event_type.SCHEMA)}
    assert set(UPCASTERS) == needed


@given(event=events(), actor=texts, position=st.integers(1, 2**53 - 1), version=st.integers(1, 10_000))
def test_the_leaf_hash_is_that_of_the_canonical_envelope(event: Any, actor: str, position: int, version: int) -> None:
    event_type = type(event).__name__
    entry = {
        "position": position,
        "job_id": JOB,
        "version": version,
        "type": event_type,
        "schema": event.SCHEMA,
        "data": event_data(event),
        "actor": actor,
        "recorded_at": NOON,
    }
    found = leaf_hash(
        position=position,
        job_id=JOB,
        version=version,
        event_type=event_type,
        schema=event.SCHEMA,
        data=encode(event),
        actor=actor,
        at=NOON,
    )
    assert found == sha256(b"\0" + rfc8785.dumps(entry)).digest()


@given(events())
def test_the_envelope_is_what_the_leaf_hash_covers_also_once_it_was_read_back(event: Any) -> None:
    event_type, text = type(event).__name__, encode(event)
    read = Recorded(
        position=Position(5), job_id=JOB, version=2, at=NOON, actor="é", event=decode(event_type, event.SCHEMA, text)
    )
    assert sha256(b"\0" + rfc8785.dumps(dict(envelope(read)))).digest() == leaf_hash(
        position=5, job_id=JOB, version=2, event_type=event_type, schema=event.SCHEMA, data=text, actor="é", at=NOON
    )


@given(events())
def test_stored_text_is_json_with_exactly_the_fields_of_the_event(event: Any) -> None:
    assert set(json.loads(encode(event))) == set(event_data(event))
