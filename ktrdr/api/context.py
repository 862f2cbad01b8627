"""What every endpoint has at hand. Imports the store and this package's own parts."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from ktrdr.api.access.callers import caller_of
from ktrdr.api.access.known import TokenBook
from ktrdr.api.access.sessions import Sessions
from ktrdr.api.compute import Compute
from ktrdr.api.past import Past
from ktrdr.api.tail import Tail
from ktrdr.api.verification import Verification
from ktrdr.api.watch import LogWatch
from ktrdr.jobs.events import JobId
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.settings import Settings
from ktrdr.store import Store
from ktrdr.store.group_commit import GroupCommit
from ktrdr.store.reader import Reader
from ktrdr.submission.strategies import StrategyCache
from ktrdr.tracing import Trace


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    store: Store
    #: Every write goes here.
    log: GroupCommit
    #: Belongs to the event loop; its reads are bounded and take microseconds.
    reader: Reader
    past: Past
    watch: LogWatch
    tail: Tail
    compute: Compute
    strategies: StrategyCache
    tokens: TokenBook
    sessions: Sessions
    verification: Verification


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def actor_of(request: Request) -> str:
    """Who asks, for the log: `token:NAME`, `operator`, or `client:ADDRESS` of one that needs no token."""
    return caller_of(request).name


def traceparent_of(request: Request) -> str:
    """The span of the W3C trace that the request is, as the event that it causes records it."""
    trace: Trace = request.state.trace
    return trace.traceparent


def job_id_of(request: Request) -> JobId:
    """The job that the path names. Raises UnknownJobError for what cannot be one."""
    text = str(request.path_params["job_id"])
    if not is_job_id(text):
        raise UnknownJobError(text[:80])
    return JobId(text)
