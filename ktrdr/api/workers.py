"""Workers over HTTP: which there are and what each of them runs; host workers say here that they live.

Imports the store.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.api.access.refused import not_yours
from ktrdr.api.conditions import json_answer
from ktrdr.api.context import context_of
from ktrdr.api.leases import HOST, Name
from ktrdr.api.requests import Body, PlainObject, faults_of, read_json
from ktrdr.jobs.state import JobState
from ktrdr.jobs.workers import Beat, WorkerState
from ktrdr.problems import invalid
from ktrdr.store import workers
from ktrdr.store.reader import Reader
from ktrdr.store.workers import KnownWorker
from ktrdr.training.faults import Fault

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class BeatRequest(Body):
    """What a host worker says of itself."""

    state: Literal["starting", "alive", "draining", "stopped"] = Field(
        description="Each change is told at once; a worker that drains is given nothing new."
    )
    host: str = Field(min_length=1, max_length=200, description="Name of its machine.")
    pid: int = Field(ge=0, le=2**31)
    version: str = Field(min_length=1, max_length=100, description="Of ktrdr.")
    slots: int = Field(ge=1, le=256, description="Jobs that it runs at once.")
    capabilities: PlainObject = Field(
        default_factory=dict, description="DeviceCapabilities; empty while the worker is starting."
    )


class RunningJob(TypedDict):
    job_id: str
    name: str
    #: When the worker was given it.
    since: str | None
    stage: str | None
    epoch: int
    epochs: int


class WorkerView(TypedDict):
    name: str
    #: local or host.
    kind: str
    #: starting, alive, draining, stopped or lost.
    state: str
    host: str
    pid: int
    version: str
    #: None until the worker has told its capabilities.
    device_type: str | None
    device: str | None
    capabilities: dict[str, Any]
    slots: int
    jobs: list[RunningJob]
    started_at: str
    last_seen: str


class WorkerList(TypedDict):
    workers: list[WorkerView]


class LeaseTime(TypedDict):
    lease_seconds: float


async def list_workers(request: Request) -> Response:
    """Every worker: alive or lately gone, on which device, busy with what."""
    return json_answer(request, WorkerList(workers=worker_views(context_of(request).reader)))


def worker_views(reader: Reader) -> list[WorkerView]:
    """The same as plain data."""
    running: defaultdict[str, list[JobState]] = defaultdict(list)
    for job in reader.running_jobs():
        running[job.worker or ""].append(job)
    return [_view(one, running[one.name]) for one in reader.workers()]


async def beat(request: Request) -> Response:
    """Notes that a host worker lives, every third of `lease_seconds` and at each change of its state.

    `PUT /api/v1/workers/NAME` with `{"state", "host", "pid", "version", "slots", "capabilities"}`: NAME is the one
    under which the worker claims, `state` is starting, alive, draining or stopped, `capabilities` those that it claims
    with, or `{}` while it is starting. 200 with `{"lease_seconds": …}`.
    """
    context, asked = context_of(request), await read_json(request, BeatRequest)
    try:
        name = _NAME.validate_python(request.path_params["name"])
    except ValidationError as error:
        raise invalid([Fault(("name",), fault.problem, fault.fix) for fault in faults_of(error)]) from None
    said = Beat(
        name=name,
        kind=HOST,
        state=WorkerState(asked.state),
        host=asked.host,
        pid=asked.pid,
        version=asked.version,
        slots=asked.slots,
        capabilities=asked.capabilities,
    )
    if any(worker.name == name and worker.kind != HOST for worker in context.reader.workers()):
        raise not_yours(f"{name} is the name of a worker beside the service", "choose another name")
    await context.log.write(lambda transaction: workers.beat(transaction, said))
    return JSONResponse(LeaseTime(lease_seconds=context.settings.lease_seconds))


def _view(worker: KnownWorker, running: list[JobState]) -> WorkerView:
    return WorkerView(
        name=worker.name,
        kind=worker.kind,
        state=worker.state,
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        device_type=_text(worker, "device_type"),
        device=_text(worker, "device"),
        capabilities=dict(worker.capabilities),
        slots=worker.slots,
        jobs=[
            RunningJob(
                job_id=job.job_id,
                name=job.name,
                since=job.claimed_at,
                stage=job.stage,
                epoch=job.epoch,
                epochs=job.epochs,
            )
            for job in running
        ],
        started_at=worker.started_at,
        last_seen=worker.last_seen,
    )


def _text(worker: KnownWorker, capability: str) -> str | None:
    value = worker.capabilities.get(capability)
    return None if value is None else str(value)
