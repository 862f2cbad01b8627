"""A lease belongs to the token that claimed it: another worker's token can neither use it nor end it. Imports jobs.

A lease epoch is given out once, so who claimed it never changes; whether it is held still, the transaction looks again.
"""

from __future__ import annotations

from starlette.requests import Request

from ktrdr.api.access.callers import caller_of
from ktrdr.api.access.refused import not_yours
from ktrdr.jobs import decide
from ktrdr.jobs.service.tokens import Scope
from ktrdr.jobs.state import JobState


def token_of(request: Request) -> str:
    """The token of the one who asks, as events name it; empty where workers cannot be told apart by theirs."""
    caller = caller_of(request)
    return caller.name if caller.has_own_token else ""


def require_holder(request: Request, state: JobState, lease_epoch: int) -> None:
    """Raises LeaseLostError unless the job runs under this lease, and a problem if that is another token's."""
    decide.require_lease(state, lease_epoch)
    require_claimer(request, state)


def require_claimer(request: Request, state: JobState) -> None:
    """Raises the problem `forbidden` unless the job's last lease was claimed with the token of `request`.

    Callers that cannot be told apart, and those that may do everything, pass.
    """
    caller = caller_of(request)
    if caller.has_own_token and state.claimed_with != caller.name and Scope.ADMIN not in caller.scopes:
        raise not_yours(
            f"the lease of job {state.job_id} was not claimed with the token of {caller.name}",
            "send the token that it was claimed with",
        )
