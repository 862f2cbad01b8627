"""The protocol of host workers: claim, report, renew, watch for a cancellation, end the attempt.

Imports jobs and the store. A lease is named by its job and its epoch; what comes under an old epoch is refused with
the problem `lease-lost`. Everything may be repeated: a worker numbers what it reports, and an attempt ends once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api.context import context_of, job_id_of
from ktrdr.api.requests import Body, faults_of, read_json, read_query
from ktrdr.api.uploads import adopt_upload
from ktrdr.api.views import job_view
from ktrdr.clock import from_instant, system_clock
from ktrdr.jobs import decide
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import event_data
from ktrdr.jobs.events import (
    BatchProgressed,
    CancelOutcome,
    EpochFinished,
    JobCompleted,
    JobEvent,
    JobFailed,
    ProgressEvent,
    StageFinished,
    StageStarted,
)
from ktrdr.jobs.state import JobState
from ktrdr.problems import conflict, invalid
from ktrdr.store import leases
from ktrdr.training.faults import Fault

HOST = "host"
#: What a worker may report, by type.
_REPORTS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in (StageStarted, StageFinished, BatchProgressed, EpochFinished)
}
_COMPLETED = TypeAdapter(JobCompleted)
_FAILED = TypeAdapter(JobFailed)


class ClaimRequest(Body):
    """A worker that asks for a job."""

    worker: str = Field(min_length=1, max_length=200, pattern=r"^\S+$")
    capabilities: dict[str, Any] = Field(default_factory=dict)
    numeric_profile: dict[str, Any] = Field(default_factory=dict)
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for a job.")


class ReportedEvent(Body):
    type: str
    data: dict[str, Any]


class ReportRequest(Body):
    """What happened in an attempt, in order."""

    first: int = Field(ge=0, description="Number of the first event within the attempt, from 0.")
    events: list[ReportedEvent] = Field(max_length=1000)


class EndRequest(Body):
    """How an attempt ended: the fields of JobCompleted or JobFailed."""

    data: dict[str, Any]


class StoppedRequest(Body):
    """The receipt of a cancellation."""

    outcome: CancelOutcome = Field(strict=False)
    batches_after_request: int | None = Field(None, ge=0)
    where: str = Field("", max_length=500)


class ReleaseRequest(Body):
    """Why a worker gives a job back."""

    message: str = Field("", max_length=1000)


class WaitQuery(Body):
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait.")


async def claim(request: Request) -> Response:
    """Gives the next job to a worker: 200 with everything that it needs, or 204 if there is none."""
    context, asked = context_of(request), await read_json(request, ClaimRequest)
    _check_plain(asked.capabilities, "capabilities")
    _check_plain(asked.numeric_profile, "numeric_profile")
    deadline = asyncio.get_running_loop().time() + asked.wait
    while not context.watch.is_stopping:
        change = context.watch.next_change()
        if await request.is_disconnected():
            break  # a worker that has gone must not be given a job
        if context.reader.has_queued(HOST):
            state = await context.log.write(
                lambda transaction: leases.claim_next(
                    transaction,
                    worker=asked.worker,
                    worker_kind=HOST,
                    capabilities=asked.capabilities,
                    numeric_profile=asked.numeric_profile,
                )
            )
            if state is not None:
                submitted = context.reader.submission(state.job_id)
                return JSONResponse(
                    {
                        "job_id": state.job_id,
                        "lease_epoch": state.lease_epoch,
                        "lease_seconds": context.settings.lease_seconds,
                        "submitted": event_data(submitted),
                    }
                )
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0 or not await context.watch.wait(change, left):
            break
    return Response(status_code=204)


async def report(request: Request) -> Response:
    """Records what a worker reports, leaving out what it had reported before."""
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    asked = await read_json(request, ReportRequest)
    progress = _read_reports(asked.events)
    try:
        state = await context.log.write(
            lambda transaction: leases.report_once(transaction, job_id, epoch, progress, first=asked.first)
        )
    except leases.MissingReportError as error:
        raise conflict(str(error), fix="report from the number that is missing") from None
    return JSONResponse(job_view(state))


async def renew(request: Request) -> Response:
    """Keeps the lease for another full time."""
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    await context.log.write(lambda transaction: leases.renew(transaction, job_id, epoch))
    return JSONResponse({"lease_seconds": context.settings.lease_seconds})


async def cancellation(request: Request) -> Response:
    """The cancellation request of a running job: 200 once there is one, 204 if there was none until `wait` passed."""
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    deadline = asyncio.get_running_loop().time() + read_query(request, WaitQuery).wait
    while not context.watch.is_stopping:
        change = context.watch.next_change()
        decide.require_lease(context.reader.job(job_id), epoch)
        requested = context.reader.cancellation(job_id)
        if requested is not None:
            version, at = requested
            age = (system_clock() - from_instant(at)).total_seconds()
            return JSONResponse({"request_version": version, "age_seconds": age})
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0 or not await context.watch.wait(change, left):
            break
    return Response(status_code=204)


async def complete(request: Request) -> Response:
    """Ends the job with the model whose files were uploaded before, after checking every digest."""
    completed: JobCompleted = _read_event(_COMPLETED, (await read_json(request, EndRequest)).data)
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    state = context.reader.job(job_id)
    if not state.status.is_final:
        decide.require_lease(state, epoch)
        await asyncio.to_thread(adopt_upload, context.store, job_id, epoch, completed.model_digest)
    return await _end(request, lambda state: decide.complete(state, epoch, completed))


async def fail(request: Request) -> Response:
    """Ends the attempt without a model."""
    failed: JobFailed = _read_event(_FAILED, (await read_json(request, EndRequest)).data)
    return await _end(request, lambda state: decide.fail(state, _epoch_of(request), failed))


async def stopped(request: Request) -> Response:
    """Ends a job whose cancellation the worker has seen."""
    asked = await read_json(request, StoppedRequest)
    return await _end(
        request,
        lambda state: decide.acknowledge_cancellation(
            state,
            _epoch_of(request),
            outcome=asked.outcome,
            batches_after_request=asked.batches_after_request,
            where=asked.where,
        ),
    )


async def release(request: Request) -> Response:
    """Gives the job back to the queue."""
    asked = await read_json(request, ReleaseRequest)
    return await _end(request, lambda state: decide.release(state, _epoch_of(request), message=asked.message))


async def _end(request: Request, decide_end: Callable[[JobState], Sequence[JobEvent]]) -> Response:
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    state = await context.log.write(lambda transaction: leases.end_once(transaction, job_id, epoch, decide_end))
    return JSONResponse(job_view(state))


def _epoch_of(request: Request) -> int:
    return int(request.path_params["lease_epoch"])


def _read_reports(events: Sequence[ReportedEvent]) -> list[ProgressEvent]:
    progress: list[ProgressEvent] = []
    for number, event in enumerate(events):
        adapter = _REPORTS.get(event.type)
        if adapter is None:
            known = ", ".join(_REPORTS)
            raise invalid([Fault(("events", number, "type"), f"a worker cannot report {event.type[:80]!r}", known)])
        progress.append(_read_event(adapter, event.data, "events", number))
    return progress


def _read_event(adapter: TypeAdapter[Any], data: dict[str, Any], *path: str | int) -> Any:
    """An event from a worker's data. Raises a problem with every fault."""
    _check_plain(data, *path, "data")
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        raise invalid(
            [Fault((*path, "data", *fault.path), fault.problem, fault.fix) for fault in faults_of(error)]
        ) from None


def _check_plain(data: dict[str, Any], *path: str | int) -> None:
    try:
        dumps(data)
    except ValueError as error:
        raise invalid([Fault(path, str(error))]) from None
