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
    StaleVersionError,
    UnknownJobError,
)
from ktrdr.training.faults import Fault

TYPE_PREFIX = "urn:ktrdr:problem:"


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818  # RFC 9457 calls it a problem
    """One problem; `name` ends its type URI."""

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


def invalid(faults: Sequence[Fault], *, title: str = "The request is not valid") -> Problem:
    number = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    return Problem("invalid-request", 422, title, f"{number} found; nothing was changed", faults=faults)


def not_found(detail: str, *, fix: str = "") -> Problem:
    return Problem("not-found", 404, "There is no such thing", detail, fix)


def too_large(limit: int) -> Problem:
    return Problem("too-large", 413, "The request is too large", f"at most {limit:,} bytes are accepted here")


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
}


def from_refusal(refusal: RefusalError) -> Problem:
    """The problem that says why the domain refused."""
    name, status = _REFUSALS[type(refusal)]
    return Problem(name, status, refusal.title.removesuffix("."), str(refusal), refusal.fix)
