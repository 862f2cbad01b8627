"""The protocol of host workers: claim, report, renew, regain, watch for a cancellation, end the attempt.

Imports jobs and the store. A lease is named by its job and its epoch; what comes under an old epoch is refused with
the problem `lease-lost`. Everything may be repeated: a claim has a name, a worker numbers what it reports, and an
attempt ends once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api.access.lease_holders import require_claimer, require_holder, token_of
from ktrdr.api.context import Context, context_of, job_id_of
from ktrdr.api.requests import Body, PlainObject, faults_of, read_json, read_query
from ktrdr.api.staging import adopt_checkpoint, adopt_model, staged_jobs, sweep
from ktrdr.api.views import job_view
from ktrdr.clock import from_instant, system_clock
from ktrdr.jobs import decide
from ktrdr.jobs.codec import event_data
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import (
    CancelOutcome,
    CheckpointSaved,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobId,
    ProgressEvent,
)
from ktrdr.jobs.refusals import RefusalError
from ktrdr.jobs.state import JobState
from ktrdr.problems import invalid
from ktrdr.store import leases
from ktrdr.training.faults import Fault

HOST = "host"
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
#: What a worker may report, by type.
_REPORTS: dict[str, TypeAdapter[Any]] = {kind.__name__: TypeAdapter(kind) for kind in get_args(ProgressEvent)}
_COMPLETED = TypeAdapter(JobCompleted)
_FAILED = TypeAdapter(JobFailed)


class RegainRequest(Body):
    """A worker that was cut off beyond its lease and wants to go on."""

    worker: Name
    capabilities: PlainObject = Field(default_factory=dict)
    numeric_profile: PlainObject = Field(default_factory=dict)


class ClaimRequest(RegainRequest):
    """A worker that asks for a job."""

    claim_id: Name = Field(description="A random name: a claim that is repeated under it gets the same lease.")
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for a job.")


class ReportedEvent(Body):
    type: str
    data: PlainObject


class ReportRequest(Body):
    """What happened in an attempt, in order."""

    first: int = Field(ge=0, description="Number of the first event within the attempt, from 0.")
    events: list[ReportedEvent] = Field(max_length=1000)


class FailRequest(Body):
    """How an attempt ended: the fields of JobFailed."""

    data: PlainObject


class CompleteRequest(Body):
    """The fields of JobCompleted, and the files of the model, each with the digest under which it was uploaded."""

    data: PlainObject
    files: dict[FileName, str] = Field(min_length=1, max_length=32)


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
    claimant = _claimant(asked)
    deadline = asyncio.get_running_loop().time() + asked.wait
    while not context.watch.is_stopping:
        change = context.watch.next_change()
        if await request.is_disconnected():
            break  # a worker that has gone must not be given a job
        is_given = context.reader.has_claim(asked.claim_id)
        if not is_given and not context.reader.takes_jobs(asked.worker):
            break
        if is_given or context.reader.has_job_for(HOST, has_gpu=claimant.has_gpu):
            state = await context.log.write(
                lambda transaction: leases.claim_once(transaction, claimant, asked.claim_id, by=token_of(request))
            )
            if state is not None:
                require_claimer(request, state)
                return JSONResponse(_claimed(context, state), background=BackgroundTask(_sweep, context))
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0 or not await context.watch.wait(change, left):
            break
    return Response(status_code=204)


async def regain(request: Request) -> Response:
    """Gives a job back to a worker that was cut off, if it waits in the queue since; its attempt then goes on."""
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    claimant, by = _claimant(await read_json(request, RegainRequest)), token_of(request)
    require_claimer(request, context.reader.job(job_id))
    state = await context.log.write(lambda transaction: leases.regain(transaction, job_id, epoch, claimant, by=by))
    return JSONResponse({"lease_epoch": state.lease_epoch, "lease_seconds": context.settings.lease_seconds})


async def report(request: Request) -> Response:
    """Records what a worker reports, leaving out what it had reported before."""
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    asked = await read_json(request, ReportRequest)
    progress = _read_reports(asked.events)
    before = context.reader.job(job_id)
    require_holder(request, before, epoch)
    for number, event in enumerate(progress, asked.first):
        if isinstance(event, CheckpointSaved) and number >= before.reported:
            await asyncio.to_thread(adopt_checkpoint, context.store, job_id, event)
    state = await context.log.write(
        lambda transaction: leases.report_once(transaction, job_id, epoch, progress, first=asked.first)
    )
    return JSONResponse(job_view(state))


async def renew(request: Request) -> Response:
    """Keeps the lease for another full time."""
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    if token_of(request):
        require_holder(request, context.reader.job(job_id), epoch)
    await context.log.write(lambda transaction: leases.renew(transaction, job_id, epoch))
    return JSONResponse({"lease_seconds": context.settings.lease_seconds})


async def cancellation(request: Request) -> Response:
    """The cancellation request of a running job: 200 once there is one, 204 if there was none until `wait` passed."""
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    deadline = asyncio.get_running_loop().time() + read_query(request, WaitQuery).wait
    while not context.watch.is_stopping:
        change = context.watch.next_change()
        require_holder(request, context.reader.job(job_id), epoch)
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
    asked = await read_json(request, CompleteRequest)
    completed: JobCompleted = _read_event(_COMPLETED, asked.data)
    context, job_id, epoch = context_of(request), job_id_of(request), _epoch_of(request)
    state = context.reader.job(job_id)
    require_claimer(request, state)
    if not decide.has_settled(state, epoch):
        decide.require_lease(state, epoch)
        await asyncio.to_thread(adopt_model, context.store, job_id, asked.files, completed.model_digest)
    return await _end(request, lambda state: decide.complete(state, epoch, completed))


async def fail(request: Request) -> Response:
    """Ends the attempt without a model."""
    failed: JobFailed = _read_event(_FAILED, (await read_json(request, FailRequest)).data)
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
    before = context.reader.job(job_id)
    if not decide.has_settled(before, epoch):
        decide.require_lease(before, epoch)
    require_claimer(request, before)
    state = await context.log.write(lambda transaction: leases.end_once(transaction, job_id, epoch, decide_end))
    return JSONResponse(job_view(state), background=BackgroundTask(_sweep, context))


async def _sweep(context: Context) -> None:
    """Removes what was uploaded for jobs that do not run any more."""
    dead = [job_id for job_id in staged_jobs(context.store) if not _runs(context, JobId(job_id))]
    await asyncio.to_thread(sweep, context.store, dead)


def _runs(context: Context, job_id: JobId) -> bool:
    try:
        return context.reader.job(job_id).worker is not None
    except RefusalError:
        return False  # no job of ours


def _claimant(asked: RegainRequest) -> Claimant:
    return Claimant(
        worker=asked.worker, kind=HOST, capabilities=asked.capabilities, numeric_profile=asked.numeric_profile
    )


def _claimed(context: Context, state: JobState) -> dict[str, Any]:
    """What a worker must know of a job that it was given."""
    return {
        "job_id": state.job_id,
        "attempt": state.attempt,
        "lease_epoch": state.lease_epoch,
        "lease_seconds": context.settings.lease_seconds,
        "submitted": event_data(context.reader.submission(state.job_id)),
        "checkpoints": state.checkpoints,
    }


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
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        raise invalid(
            [Fault((*path, "data", *fault.path), fault.problem, fault.fix) for fault in faults_of(error)]
        ) from None
