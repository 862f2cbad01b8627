"""Reading golden logs, and what they add up to: the state digest, and the root of the tree over them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ktrdr.audit.checking.replay import state_digest
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import decode
from ktrdr.jobs.events import Instant, JobId, Position, Recorded
from ktrdr.jobs.merkle import root_of
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.service.subjects import evolve_subject, is_subject_id, no_subject
from ktrdr.jobs.state import NO_JOB, JobState, evolve


def read_lines(file: Path) -> list[str]:
    return gzip.decompress(file.read_bytes()).decode().split("\n")[:-1]


def recorded(lines: Sequence[str]) -> Iterator[Recorded]:
    """The events as this version reads them, from whatever schema they were recorded in."""
    for line in lines:
        entry: dict[str, Any] = json.loads(line)
        yield Recorded(
            position=Position(entry["position"]),
            job_id=JobId(entry["job_id"]),
            version=entry["version"],
            at=Instant(entry["recorded_at"]),
            actor=entry["actor"],
            event=decode(entry["type"], entry["schema"], dumps(entry["data"])),
        )


def fold_all(lines: Sequence[str]) -> dict[JobId, JobState | Subject]:
    """The state of each job and subject, in the order of their first events."""
    states: dict[JobId, Any] = {}
    for entry in recorded(lines):
        if is_subject_id(entry.job_id):
            states[entry.job_id] = evolve_subject(states.get(entry.job_id) or no_subject(entry.job_id), entry)
        else:
            states[entry.job_id] = evolve(states.get(entry.job_id, NO_JOB), entry)
    return states


def summed_up(lines: Sequence[str]) -> dict[str, Any]:
    states = fold_all(lines)
    root = root_of(sha256(b"\0" + line.encode()).digest() for line in lines)
    return {
        "events": len(lines),
        "jobs": sum(isinstance(state, JobState) for state in states.values()),
        "state_digest": state_digest(states.values()),
        "root": root.hex(),
    }
