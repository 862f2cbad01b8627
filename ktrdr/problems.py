"""Every error that a client of the API can see, as an RFC 9457 problem: type, title, status, and how to fix it.

Imports jobs and the faults of the training input. A problem is plain data; `ktrdr.api` gives it to the client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
from ktrdr.problem_types import TYPE_PREFIX
from ktrdr.training.faults import Fault


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818  # RFC 9457 calls it a problem
    """One problem; `name`, `status` and `title` are those of a type (`ktrdr.problem_types`)."""

    name: str
    status: int
    title: str
    detail: str = ""
    fix: str = ""
    #: What is wrong with the request, each with its place.
    faults: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.detail or self.title

    def document(self) -> dict[str, Any]:
        """The body, as RFC 9457 shapes it; `errors` and `fix` are extension members."""
        body: dict[str, Any] = {"type": TYPE_PREFIX + self.name, "title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        if self.fix:
            body["fix"] = self.fix
        if self.faults:
            body["errors"] = [
                {"pointer": fault.pointer, "path": fault.dotted, "detail": fault.problem, "fix": fault.fix}
                for fault in self.faults
            ]
        return body


def invalid(faults: Sequence[Fault]) -> Problem:
    number = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    return Problem(
        "invalid-request", 422, "The request is not valid", f"{number} found; nothing was changed", faults=faults
    )


def not_found(detail: str, *, fix: str = "") -> Problem:
    return Problem("not-found", 404, "There is no such thing", detail, fix)


def too_large(limit: int) -> Problem:
    return Problem("too-large", 413, "The request is too large", f"at most {limit:,} bytes are accepted here")


def address_too_long(limit: str) -> Problem:
    return Problem("address-too-long", 414, "The address is too long", f"at most {limit} are accepted here")


def range_not_satisfiable(size: int) -> Problem:
    title, headers = "There is nothing in this range", {"Content-Range": f"bytes */{size}"}
    return Problem("range-not-satisfiable", 416, title, f"the file has {size} bytes", headers=headers)


def headers_too_large(limit: int) -> Problem:
    return Problem("headers-too-large", 431, "The headers are too large", f"at most {limit:,} bytes are accepted here")


def precondition_failed(detail: str) -> Problem:
    title, fix = "It changed since it was read", "read it again; if the request is still right, send the new ETag"
    return Problem("precondition-failed", 412, title, f"{detail}; nothing was changed", fix)


def unsupported_media_type(given: str, accepted: str) -> Problem:
    return Problem(
        "unsupported-media-type", 415, "This kind of content is not understood", f"got {given!r}", f"send {accepted}"
    )


def conflict(detail: str, *, fix: str = "") -> Problem:
    return Problem("conflict", 409, "The present state does not allow this", detail, fix)


def unavailable(detail: str) -> Problem:
    return Problem(
        "unavailable",
        503,
        "The service cannot do this at the moment",
        detail,
        "try again",
        headers={"Retry-After": "1"},
    )


def storage_full(detail: str, fix: str) -> Problem:
    title = "There is no room to write this"
    return Problem("storage-full", 507, title, f"{detail}; nothing was changed", f"{fix}, then ask again")


#: Refusal → the last part of the problem's type, and its status.
_REFUSALS: dict[type[RefusalError], tuple[str, int]] = {
    UnknownJobError: ("unknown-job", 404),
    JobFinishedError: ("job-finished", 409),
    LeaseLostError: ("lease-lost", 409),
    NotQueuedError: ("not-queued", 409),
    MissingReportError: ("missing-report", 409),
    StaleVersionError: ("stale-version", 409),
    IdempotencyKeyError: ("idempotency-key-reused", 422),
    TokenExistsError: ("token-exists", 409),
    UnknownTokenError: ("unknown-token", 404),
    ScheduleExistsError: ("schedule-exists", 409),
    UnknownScheduleError: ("unknown-schedule", 404),
    ScheduleBusyError: ("schedule-busy", 409),
}


def from_refusal(refusal: RefusalError) -> Problem:
    """The problem that says why the domain refused."""
    name, status = _REFUSALS[type(refusal)]
    return Problem(name, status, refusal.title.removesuffix("."), str(refusal), refusal.fix)
