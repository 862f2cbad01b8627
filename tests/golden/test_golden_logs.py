"""What was recorded by any release is read by this one, and adds up to the same for ever."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from golden.reading import fold_all, read_lines, recorded, summed_up

from ktrdr.jobs import codec
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import EVENT_TYPES, UPCASTERS, decode
from ktrdr.jobs.events import CancelOutcome, JobEvent, Relation, RequeueReason, Target
from ktrdr.jobs.state import JobState, Status

FOLDER = Path(__file__).parent
LOGS = sorted(FOLDER.glob("*/*.jsonl.gz"))


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.name.removesuffix('.jsonl.gz')}"


@pytest.mark.parametrize("file", LOGS, ids=name_of)
def test_a_golden_log_gives_the_same_digests_for_ever(file: Path) -> None:
    digests = json.loads((file.parent / "digests.json").read_text())
    assert summed_up(read_lines(file)) == digests[file.name.removesuffix(".jsonl.gz")]


@pytest.mark.parametrize("file", LOGS, ids=name_of)
def test_a_line_is_the_canonical_form_of_its_event(file: Path) -> None:
    for line in read_lines(file):
        assert dumps(json.loads(line, parse_int=float)) == line


@pytest.mark.parametrize("version", sorted({file.parent for file in LOGS}), ids=lambda folder: folder.name)
def test_a_release_left_every_kind_of_event_and_end(version: Path) -> None:
    lines = [line for file in version.glob("*.gz") for line in read_lines(file)]
    events = [entry.event for entry in recorded(lines)]
    # Settings, tokens and schedules are in the log since 0.1.0.
    known = get_args(JobEvent) if version.name.startswith("before-0.1.0") else EVENT_TYPES.values()
    assert {type(event) for event in events} == set(known)
    found = {(name, value) for event in events for name in codec.event_data(event) if (value := getattr(event, name))
             and isinstance(value, CancelOutcome | RequeueReason | Target)}  # fmt: skip
    assert found == {
        *(("outcome", outcome) for outcome in CancelOutcome),
        *(("reason", reason) for reason in RequeueReason),
        *(("target", target) for target in Target),
    }
    relations = {event.relation for event in events if hasattr(event, "relation")}
    assert relations >= {None, Relation.RETRY, Relation.FORK}
    jobs = [state for state in fold_all(lines).values() if isinstance(state, JobState)]
    assert {state.status for state in jobs} >= {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


def test_every_schema_that_was_ever_recorded_leads_to_the_current_one() -> None:
    seen = {
        (entry["type"], entry["schema"]) for file in LOGS for entry in map(json.loads, read_lines(file))
    }  # fmt: skip
    assert {("EpochFinished", 1), ("JobSubmitted", 1)} <= seen
    for event_type, schema in seen:
        for old in range(schema, EVENT_TYPES[event_type].SCHEMA):
            assert (event_type, old) in UPCASTERS


def test_what_schema_1_did_not_say_of_an_epoch_is_empty() -> None:
    for entry in recorded(read_lines(FOLDER / "before-0.1.0-epochs" / "service.jsonl.gz")):
        assert getattr(entry.event, "tensors", "") == ""


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_schema_of_the_future_is_refused_and_named(event_type: str) -> None:
    newer = EVENT_TYPES[event_type].SCHEMA + 1
    with pytest.raises(ValueError, match=re.escape(f"{event_type} of schema {newer}; a newer one wrote the log")):
        decode(event_type, newer, "{}")


def test_a_type_of_the_future_is_refused_and_named() -> None:
    data: dict[str, Any] = {"by": "anna"}
    with pytest.raises(ValueError, match="does not know JobBlessed of schema 1"):
        decode("JobBlessed", 1, dumps(data))
