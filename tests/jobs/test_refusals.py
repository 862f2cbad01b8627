"""What a refusal says: to whom it happened, why, and what to do."""

from __future__ import annotations

import pytest
from job_builders import JOB

from ktrdr.jobs import refusals
from ktrdr.jobs.refusals import (
    IdempotencyKeyError,
    JobFinishedError,
    LeaseLostError,
    MissingReportError,
    NotQueuedError,
    RefusalError,
    ScheduleBusyError,
    ScheduleExistsError,
    StaleVersionError,
    TokenExistsError,
    UnknownJobError,
    UnknownScheduleError,
    UnknownTokenError,
)

ALL = [
    (UnknownJobError(JOB), "There is no such job.", f"there is no job {JOB}"),
    (
        JobFinishedError(JOB, "completed"),
        "The job has already finished.",
        f"job {JOB} is already completed, so nothing more can happen to it",
    ),
    (
        LeaseLostError(JOB, 2, "the job is queued"),
        "The lease is no longer held.",
        f"lease 2 of job {JOB} is no longer held: the job is queued",
    ),
    (
        NotQueuedError(JOB, "running"),
        "The job is not waiting for a worker.",
        f"job {JOB} is running, so it cannot be claimed",
    ),
    (
        MissingReportError(2, 4),
        "Reports are missing in between.",
        "event 2 of this attempt was never received, so event 4 cannot follow",
    ),
    (StaleVersionError(JOB, 3, 5), "The job changed since it was read.", f"job {JOB} is at version 5, not 3"),
    (
        IdempotencyKeyError("nightly", JOB),
        "The idempotency key was used for another request.",
        f"the key 'nightly' belongs to job {JOB}, which was submitted with other content",
    ),
    (
        TokenExistsError("ci"),
        "There is such a token already.",
        "the name ci belongs to a token that still opens the API",
    ),
    (UnknownTokenError("ci"), "There is no such token.", "there is no token ci"),
    (
        ScheduleExistsError("nightly"),
        "There is such a schedule already.",
        "there is a schedule nightly already",
    ),
    (UnknownScheduleError("nightly"), "There is no such schedule.", "there is no schedule nightly"),
    (
        ScheduleBusyError("nightly", JOB, "running"),
        "The schedule's job before has not ended.",
        f"job {JOB} of schedule nightly is running, and its jobs do not overlap",
    ),
]


@pytest.mark.parametrize(("refusal", "title", "message"), ALL, ids=lambda value: type(value).__name__)
def test_a_refusal_has_a_title_and_a_message_and_names_the_job_if_it_is_about_one(
    refusal: RefusalError, title: str, message: str
) -> None:
    assert (refusal.title, str(refusal)) == (title, message)
    assert (vars(refusal).get("job_id") == JOB) == (JOB in message)


def test_every_refusal_is_listed_here_and_in_the_tree_at_the_top_of_its_module() -> None:
    names = {refusal.__name__ for refusal in RefusalError.__subclasses__()}
    assert names == {type(refusal).__name__ for refusal, _, _ in ALL}
    assert all(name in (refusals.__doc__ or "") for name in names)
