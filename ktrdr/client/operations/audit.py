"""The log as evidence: signing, keys, proofs, and what changed between two moments. Imports the client's own parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ktrdr.client.calls import Call, Pages, as_json, as_text, given, path
from ktrdr.client.operations.jobs import pages_of_jobs

if TYPE_CHECKING:
    from ktrdr.api.audit_actions import ActionPage
    from ktrdr.api.audit_diff import JobDifference
    from ktrdr.api.audit_proofs import ConsistencyProof, LogKeys


def diff(first: str | int, last: str | int | None = None, *, limit: int | None = None) -> Pages[JobDifference]:
    """The jobs that are not the same at two moments (positions of the log or times; the second is now), and how.

    The newest submission first, read page by page.
    """
    query = {"from": first, **given(to=last)}
    return cast("Pages[JobDifference]", pages_of_jobs(path("audit", "diff"), query, limit))


def actions(
    *,
    actor: str | None = None,
    since: str | None = None,
    until: str | int | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[ActionPage]:
    """A page of who did what when, newest first: submissions, cancellations, and changes of the service."""
    query = given(actor=actor, since=since, until=until, limit=limit, cursor=cursor)
    return Call(method="GET", path=path("audit", "actions"), params=query, read=as_json)


def sign() -> Call[str]:
    """Signs the log as it is now; the checkpoint as a signed note."""
    return Call(method="POST", path=path("audit", "checkpoints"), read=as_text)


def log_keys() -> Call[LogKeys]:
    """Every key that the log was signed by, and the checkpoints that lead from one to the next."""
    return Call(method="GET", path=path("audit", "keys"), read=as_json)


def job_proof(job_id: str) -> Call[str]:
    """A proof of the newest event of a job, which verifies alone (C2SP tlog-proof)."""
    return Call(method="GET", path=path("jobs", job_id, "proof"), read=as_text)


def consistency(old: int, new: int) -> Call[ConsistencyProof]:
    """That the log of `new` events begins with the one of `old` events."""
    return Call(method="GET", path=path("audit", "consistency"), params={"from": old, "to": new}, read=as_json)
