"""Why a command was refused. Imports the standard library only.

RefusalError
├── UnknownJobError        there is no such job
├── JobFinishedError       the job has ended; nothing more happens to it
├── LeaseLostError         the attempt is no longer the worker's; it must stop and discard its work
├── NotQueuedError         the job is not waiting for a worker
├── MissingReportError     a worker's report cannot follow what was received before
├── StaleVersionError      the job changed since it was read
├── IdempotencyKeyError    the key was used for another request
├── TokenExistsError       the name belongs to a token that still opens the API
├── UnknownTokenError      there is no such token
├── ScheduleExistsError    the name belongs to a schedule
├── UnknownScheduleError   there is no such schedule
└── ScheduleBusyError      the schedule's job before has not ended

The first line of each docstring is the title that API, CLI and log show.
"""

from __future__ import annotations


class RefusalError(Exception):
    """The command was refused."""

    #: What the user can do; may be empty.
    fix = ""

    @property
    def title(self) -> str:
        return (type(self).__doc__ or "").splitlines()[0]


class UnknownJobError(RefusalError):
    """There is no such job."""

    fix = "list the jobs with: ktrdr jobs list"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}")
        self.job_id = job_id


class JobFinishedError(RefusalError):
    """The job has already finished."""

    fix = "submit it again to train another model"

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(f"job {job_id} is already {status}, so nothing more can happen to it")
        self.job_id = job_id
        self.status = status


class LeaseLostError(RefusalError):
    """The lease is no longer held."""

    fix = "stop this attempt and discard its work; the job goes on elsewhere"

    def __init__(self, job_id: str, lease_epoch: int, current: str) -> None:
        super().__init__(f"lease {lease_epoch} of job {job_id} is no longer held: {current}")
        self.job_id = job_id
        self.lease_epoch = lease_epoch


class NotQueuedError(RefusalError):
    """The job is not waiting for a worker."""

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(f"job {job_id} is {status}, so it cannot be claimed")
        self.job_id = job_id
        self.status = status


class MissingReportError(RefusalError):
    """Reports are missing in between."""

    fix = "report from the number that is missing"

    def __init__(self, missing: int, first: int) -> None:
        super().__init__(f"event {missing} of this attempt was never received, so event {first} cannot follow")


class StaleVersionError(RefusalError):
    """The job changed since it was read."""

    fix = "read the job again and repeat the command"

    def __init__(self, job_id: str, expected: int, found: int) -> None:
        super().__init__(f"job {job_id} is at version {found}, not {expected}")
        self.job_id = job_id
        self.expected = expected
        self.found = found


class IdempotencyKeyError(RefusalError):
    """The idempotency key was used for another request."""

    fix = "send the first request unchanged, or choose another key"

    def __init__(self, key: str, job_id: str) -> None:
        super().__init__(f"the key {key!r} belongs to job {job_id}, which was submitted with other content")
        self.key = key
        self.job_id = job_id


class TokenExistsError(RefusalError):
    """There is such a token already."""

    fix = "choose another name, or revoke it first with: ktrdr tokens revoke"

    def __init__(self, name: str) -> None:
        super().__init__(f"the name {name} belongs to a token that still opens the API")
        self.name = name


class UnknownTokenError(RefusalError):
    """There is no such token."""

    fix = "list the tokens with: ktrdr tokens list"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no token {name}")
        self.name = name


class ScheduleExistsError(RefusalError):
    """There is such a schedule already."""

    fix = "choose another name, or delete it first with: ktrdr schedules delete"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a schedule {name} already")
        self.name = name


class UnknownScheduleError(RefusalError):
    """There is no such schedule."""

    fix = "list the schedules with: ktrdr schedules list"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no schedule {name}")
        self.name = name


class ScheduleBusyError(RefusalError):
    """The schedule's job before has not ended."""

    fix = "wait for its end, cancel it, or give the schedule the overlap: queue"

    def __init__(self, name: str, job_id: str, status: str) -> None:
        super().__init__(f"job {job_id} of schedule {name} is {status}, and its jobs do not overlap")
        self.name = name
        self.job_id = job_id
