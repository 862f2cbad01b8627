"""Finding the next job for a worker, by a few seeks in one index however long the queue is. Imports jobs.

Works on a reader's cursor, to look, as on a transaction's, to claim. Which candidate is next is decided in
`ktrdr.jobs.queue`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ktrdr.jobs.events import JobId
from ktrdr.jobs.queue import Candidate, candidates_for, choose, classes_beside, why_it_waits
from ktrdr.jobs.state import JobState, Status
from ktrdr.jobs.workers import GpuWorker
from ktrdr.store.service_settings import read_settings, rules_of
from ktrdr.store.statements import Statements
from ktrdr.store.workers import read_present


def find_next(cursor: Any, statements: Statements, kind: str, *, has_gpu: bool) -> Candidate | None:
    """The job that a worker of this kind would get now; None if there is none for it."""
    candidates = candidates_for(
        kind,
        has_gpu=has_gpu,
        first_of_each_share=lambda waits_for: _first_of_each_share(cursor, statements, waits_for),
        gpu_workers=lambda: [
            GpuWorker(kind=row[0], slots=row[1], jobs=row[2]) for row in statements.gpu_workers.run(cursor)
        ],
    )
    if not candidates:
        return None
    return choose(candidates, running_by_share(cursor, statements), rules_of(read_settings(cursor, statements)))


def has_room(cursor: Any, statements: Statements, share: str) -> bool:
    """Whether the caps let one more job of this share run."""
    rules = rules_of(read_settings(cursor, statements))
    return rules.may_run(share, running_by_share(cursor, statements)[share])


def running_by_share(cursor: Any, statements: Statements) -> Counter[str]:
    """How many jobs of each share run. They are few, so they are counted here rather than sorted by SQLite."""
    return Counter(row[0] for row in statements.running_shares.run(cursor))


def why_waiting(cursor: Any, statements: Statements, job: JobState) -> str | None:
    """Why a job is in the queue still, in words; None for one that is not there."""
    if job.status is not Status.QUEUED:
        return None
    return why_it_waits(
        job,
        workers=read_present(cursor, statements),
        running=running_by_share(cursor, statements),
        rules=rules_of(read_settings(cursor, statements)),
        before=_count_before(cursor, statements, job),
    )


def _count_before(cursor: Any, statements: Statements, job: JobState) -> int:
    (position,) = statements.submitted_position.run(cursor, job_id=job.job_id).fetchone()
    place = {"share": job.share, "priority": job.priority}
    before = 0
    for waits_for in classes_beside(job.target):
        before += statements.count_more_urgent.run(cursor, waits_for=waits_for, **place).fetchone()[0]
        before += statements.count_earlier.run(cursor, waits_for=waits_for, position=position, **place).fetchone()[0]
    return before


def _first_of_each_share(cursor: Any, statements: Statements, waits_for: str) -> list[Candidate]:
    found: list[Candidate] = []
    row = statements.first_waiting.run(cursor, waits_for=waits_for).fetchone()
    while row is not None:
        share, job_id, priority, position = row
        found.append(Candidate(job_id=JobId(job_id), priority=priority, submitted_position=position, share=share))
        row = statements.first_of_next_share.run(cursor, waits_for=waits_for, share=share).fetchone()
    return found
