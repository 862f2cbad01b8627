"""Reads the whole history of an installation and says, in words, what in it must never have happened.

It trusts neither the decisions nor the database: every rule is checked from the events alone, then compared with the
projections, the files, the API, and the journal of what clients were answered.

    python tests/history_checker.py FOLDER      # that a storm has left, with home and journal.jsonl in it
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from history_rules import by_job, check_log, name_of, type_of

from ktrdr.audit.checking.verify import verify
from ktrdr.jobs.events import CancellationRequested, JobCancelled, JobCompleted, JobFailed, JobSubmitted, Recorded
from ktrdr.jobs.state import fold
from ktrdr.store import Store, open_store
from ktrdr.store.rebuild import rebuild

#: How the API calls a job that ended so.
_STATUS: dict[type[Any], str] = {JobCompleted: "completed", JobFailed: "failed", JobCancelled: "cancelled"}


@dataclass
class Answers:
    """What clients asked for and were answered."""

    #: (idempotency key, job) of each accepted submission, as often as it was accepted.
    accepted: list[tuple[str, str]] = field(default_factory=list)
    #: (job, status of the answer or None if it was lost, what the answer said) of each cancellation asked for.
    cancels: list[tuple[str, int | None, str]] = field(default_factory=list)


def read_journal(path: Path) -> Answers:
    """The answers that a storm wrote down, one JSON array a line: `["accepted", …]` or `["cancel", …]`."""
    answers = Answers()
    for line in path.read_text().splitlines():
        kind, *entry = json.loads(line)
        (answers.accepted if kind == "accepted" else answers.cancels).append(tuple(entry))
    return answers


def check_installation(
    store: Store, answers: Answers | None = None, http: httpx2.Client | None = None, *, is_over: bool = True
) -> list[str]:
    """Every violation in the log of an installation, and whatever disagrees with it.

    `http` speaks to its API under `/api/v1`. With `is_over`, jobs that have not ended are violations.
    """
    reader = store.open_reader()
    log = [event.recorded for event in reader.all_events()]
    reader.close()
    return [
        *check_log(log, is_over=is_over),
        *(check_answers(log, answers) if answers else ()),
        *(check_api(log, http) if http else ()),
        *map(str, rebuild(store.engine, store.doorbell, repair=False).differences),
        *verify(store).findings,
    ]


def check_answers(log: Sequence[Recorded], answers: Answers) -> Iterator[str]:
    """Whether everything that clients were told is so."""
    histories = by_job(log)
    keys = {r.job_id: r.event.idempotency_key for r in log if isinstance(r.event, JobSubmitted)}
    for key, number in Counter(key for key in keys.values() if key is not None).items():
        if number > 1:
            yield f"{number} jobs were submitted under the idempotency key {key}"
    for key, job_id in sorted(set(answers.accepted)):
        if job_id not in keys:
            yield f"job {job_id} was accepted and is not in the log"
        elif keys[job_id] != key:  # type: ignore[index]
            yield f"job {job_id} was given for the idempotency key {key}, and has {keys[job_id]}"  # type: ignore[index]
    for job_id, status, said in answers.cancels:
        end = histories[job_id][-1].event if job_id in histories else None
        if status in (200, 202) and not isinstance(end, JobCancelled):
            yield f"a cancellation of job {job_id} was acknowledged with {status}, and it ended with {type_of(end)}"
        if status == 409 and f"already {_STATUS.get(type(end), 'nothing')}" not in said:
            yield f"a cancellation of job {job_id} was refused ({said}), and it ended with {type_of(end)}"
    asked = {job_id for job_id, _, _ in answers.cancels}
    for recorded in log:
        if isinstance(recorded.event, CancellationRequested) and recorded.job_id not in asked:
            yield f"{name_of(recorded)} was recorded, and nobody has asked for it"


def check_api(log: Sequence[Recorded], http: httpx2.Client) -> Iterator[str]:
    """Whether the API tells the same story as the log."""
    position = 0
    while page := _get(http, "/events", after=position, limit=1000)["events"]:
        told = [(event["position"], event["job_id"], event["version"], event["type"]) for event in page]
        held = log[position : position + len(page)]
        if told != [(r.position, r.job_id, r.version, type_of(r.event)) for r in held]:
            yield f"GET /events differs from the log after position {position}"
        position = page[-1]["position"]
    if position != len(log):
        yield f"GET /events ends at position {position}, the log at {len(log)}"
    for job_id, history in by_job(log).items():
        state, told_job = fold(history), _get(http, f"/jobs/{job_id}")
        if (told_job["status"], told_job["version"]) != (state.status, state.version):
            yield (
                f"GET /jobs/{job_id} says {told_job['status']} at version {told_job['version']}, "
                f"the log {state.status} at {state.version}"
            )
        has_model = http.get(f"/jobs/{job_id}/model").status_code == 200
        if has_model != isinstance(history[-1].event, JobCompleted):
            yield f"job {job_id} ended with {type_of(history[-1].event)}, and has {'a' if has_model else 'no'} model"


def _get(http: httpx2.Client, path: str, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = http.get(path, params=query).raise_for_status().json()
    return answer


def main(folder: Path) -> int:
    journal = folder / "journal.jsonl"
    found = check_installation(open_store(folder / "home"), read_journal(journal) if journal.exists() else None)
    for violation in found:
        print(f"violation: {violation}")
    print(f"{len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
