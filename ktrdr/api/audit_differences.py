"""Why two jobs differ, over HTTP. Imports the audit and the store."""

from __future__ import annotations

import asyncio
from typing import Any, NotRequired

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.api.context import context_of
from ktrdr.api.requests import Body, read_query
from ktrdr.audit.archive import ArchiveError
from ktrdr.audit.differences import Comparison, compare, document
from ktrdr.audit.histories import read_history
from ktrdr.jobs.events import JobId
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.problems import unavailable
from ktrdr.store import Store


class DifferenceQuery(Body):
    """Which two jobs."""

    a: str = Field(max_length=64, description="The id of a job.")
    b: str = Field(max_length=64, description="The id of the job that it is compared with.")


class ComparedJob(TypedDict):
    """One of the two jobs."""

    id: str
    status: str


class CauseView(TypedDict):
    """One thing that was not the same for both jobs; `a` or `b` is left out where a job has no value."""

    kind: str
    path: str
    #: What it can change: `weights`, `metrics`, `files` or `nothing`.
    reach: str
    #: Whether a counterfactual can ask for it.
    can_be_set: bool
    a: NotRequired[Any]
    b: NotRequired[Any]


class FactView(TypedDict):
    """A fact of a stage that differs."""

    path: str
    a: NotRequired[Any]
    b: NotRequired[Any]


class StageView(TypedDict):
    """The first stage whose facts differ."""

    name: str
    number: int
    facts: list[FactView]
    left_out: int


class EpochDifferenceView(TypedDict):
    """The first epoch after which the weights differ, with the digests of the weights."""

    epoch: int
    a: str
    b: str


class MetricView(TypedDict):
    """A metric of the test part; `symbol` is null for all symbols together, `difference` is b less a."""

    symbol: str | None
    metric: str
    a: float | None
    b: float | None
    difference: float | None


class ComparisonView(TypedDict):
    """Why the result of job `b` is not that of job `a`."""

    a: ComparedJob
    b: ComparedJob
    #: `same`, `equal`, `explained`, `unexplained` or `open`.
    conclusion: str
    #: The same in words.
    sentence: str
    #: What of the results differs: `weights`, `metrics` or `files`; null if nothing does.
    differs: str | None
    #: In the order in which they act.
    causes: list[CauseView]
    first_stage: StageView | None
    #: Epochs that both histories hold.
    epochs_compared: int
    first_epoch: EpochDifferenceView | None
    metrics: list[MetricView]
    #: What could not be compared.
    notes: list[str]


async def why_differ(request: Request) -> Response:
    """Why two jobs have different results: the causes in order, the first epoch that differs, and the metrics."""
    query = read_query(request, DifferenceQuery)
    for given in (query.a, query.b):
        if not is_job_id(given):
            raise UnknownJobError(given)
    store = context_of(request).store
    try:
        comparison = await asyncio.to_thread(_compare, store, JobId(query.a), JobId(query.b))
    except ArchiveError as error:
        raise unavailable(str(error)) from None
    return JSONResponse(document(comparison))


def _compare(store: Store, a: JobId, b: JobId) -> Comparison:
    return compare(read_history(store, a), read_history(store, b))
