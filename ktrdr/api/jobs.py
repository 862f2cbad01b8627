"""Jobs over HTTP: submit, list, look at one, cancel. Imports jobs and the store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Annotated
from zlib import crc32

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api.context import actor_of, context_of, job_id_of
from ktrdr.api.cursors import link_to_next, read_cursor, write_cursor
from ktrdr.api.moments import DESCRIPTION, read_instant, read_position
from ktrdr.api.requests import Body, has_body, read_json, read_json_and_digest, read_query
from ktrdr.api.submissions import JobRequest, prepare
from ktrdr.api.views import JobPage, job_detail, job_view
from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId, JobSubmitted
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.refusals import IdempotencyKeyError
from ktrdr.jobs.state import JobState, Status, no_job
from ktrdr.problems import invalid, not_found
from ktrdr.store.history import job_as_of, jobs_as_of
from ktrdr.store.log import Transaction
from ktrdr.store.projections import find_job_by_key
from ktrdr.store.reader import JobFilter, Reader
from ktrdr.training.faults import Fault, InvalidInputError

LARGEST_PAGE = 500


class JobQuery(Body):
    """Which jobs a list holds."""

    status: tuple[Status, ...] = Field((), description="May be given several times.")
    strategy: str | None = Field(None, max_length=200, description="The strategy's name.")
    symbol: str | None = Field(None, max_length=64)
    label: tuple[Annotated[str, Field(pattern=r"^[^\s=,]+=[^\s=,]+$")], ...] = Field(
        (), description="As `key=value`; a job must carry all of them."
    )
    submitted_from: str | None = Field(None, description="First moment of submission.")
    submitted_until: str | None = Field(None, description="Last moment of submission; a bare date includes that day.")
    as_of: str | None = Field(None, max_length=64, description=f"The list as it was then. {DESCRIPTION}")
    limit: int = Field(50, ge=1, le=LARGEST_PAGE)
    cursor: str | None = Field(None, max_length=120, description="From `next_cursor` of the page before.")


class ShowQuery(Body):
    """Which moment of a job."""

    as_of: str | None = Field(None, max_length=64, description=f"The job as it was then. {DESCRIPTION}")


class CancelRequest(Body):
    """Why a job shall stop."""

    reason: str = Field("", max_length=1000)


async def submit(request: Request) -> Response:
    """Accepts a training: 202 with the job, which waits for a worker now."""
    context, key = context_of(request), idempotency_key_of(request)

    def resolve(asked: JobRequest, digest: str) -> JobSubmitted:
        return prepare(
            asked,
            digest,
            key,
            default_target=context.settings.default_target,
            reader=context.reader,
            cache=context.strategies,
        )

    def faults_of_meaning(asked: JobRequest) -> Sequence[Fault]:
        try:
            resolve(asked, "")
        except InvalidInputError as error:
            return error.faults
        return ()

    submitted = resolve(*await read_json_and_digest(request, JobRequest, faults_of_meaning))
    actor = actor_of(request)
    state = await context.log.write(lambda transaction: submit_once(transaction, submitted, actor))
    return JSONResponse(job_view(state), 202, {"Location": f"{request.url.path}/{state.job_id}"})


def submit_once(transaction: Transaction, submitted: JobSubmitted, actor: str) -> JobState:
    """Creates the job, or finds the one that the same request created before."""
    key = submitted.idempotency_key
    known = find_same(transaction, key, submitted.request_digest) if key else None
    return known or create_job(transaction, submitted, actor)


def idempotency_key_of(request: Request) -> str | None:
    """The key under which a repeated request shall be recognised. Raises a problem for one that cannot be kept."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= 255:
        raise invalid([Fault(("Idempotency-Key",), f"has {len(key)} characters", "1 to 255")])
    return key


def find_same(transaction: Transaction, key: str, request_digest: str) -> JobState | None:
    """The job that the same request created before. Raises IdempotencyKeyError if the key was used for another."""
    known = find_job_by_key(transaction, key)
    if known is None:
        return None
    job_id, digest = known
    if digest != request_digest:
        raise IdempotencyKeyError(key, job_id)
    return transaction.state(job_id)


def create_job(transaction: Transaction, submitted: JobSubmitted, actor: str) -> JobState:
    """Puts a new job into the queue."""
    job_id = make_job_id(time.time_ns() // 1_000_000, secrets.token_bytes(10))
    new = no_job(job_id)  # nobody else can have made this name
    return transaction.append(new, decide.submit(new, submitted), actor=actor)


async def list_jobs(request: Request) -> Response:
    """A page of jobs, newest first, as they are or as they were at a moment."""
    query, context = read_query(request, JobQuery), context_of(request)
    reader = context.reader
    faults: list[Fault] = []
    wanted = JobFilter(
        statuses=[str(status) for status in query.status],
        name=query.strategy,
        symbol=query.symbol,
        labels=[(key, value) for key, _, value in (label.partition("=") for label in query.label)],
        submitted_from=read_instant(query.submitted_from, "submitted_from", faults, end=False),
        submitted_until=read_instant(query.submitted_until, "submitted_until", faults, end=True),
    )
    as_of = read_position(query.as_of, "as_of", faults, reader)
    before = None
    if cursor := read_cursor(query.cursor, faults, pinned=0 if query.as_of is None else 1):
        before, *pinned = cursor
        as_of = pinned[0] if pinned else None
    if faults:
        raise invalid(faults)
    if as_of is None:
        found = reader.jobs(wanted, before=before, limit=query.limit + 1)
    else:
        found = await context.past.ask(jobs_as_of, as_of, wanted, before=before, limit=query.limit + 1)
    page, is_last = found[: query.limit], len(found) <= query.limit
    next_cursor = None if is_last else write_cursor(page[-1][0], *(() if as_of is None else (as_of,)))
    body = JobPage(jobs=[job_view(state) for _, state in page], as_of=as_of, next_cursor=next_cursor)
    return JSONResponse(body, headers=link_to_next(request, cursor=next_cursor))


async def show(request: Request) -> Response:
    """One job with everything that it was submitted with, as it is or as it was at a moment.

    The ETag is its version and, while it waits, why.
    """
    context, job_id = context_of(request), job_id_of(request)
    reader, asked = context.reader, read_query(request, ShowQuery).as_of
    if asked is None:
        state = reader.job(job_id)
        waiting = reader.why_waiting(state)
    else:
        # Why it waited depends on the workers and rules of that time, which are not in the log.
        state, waiting = _job_as_of(reader, job_id, asked), None
    etag = f'"v{state.version}{"" if waiting is None else f"-{crc32(waiting.encode()):08x}"}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return JSONResponse(job_detail(state, reader.submission(job_id), waiting=waiting), headers={"ETag": etag})


def _job_as_of(reader: Reader, job_id: JobId, asked: str) -> JobState:
    faults: list[Fault] = []
    position = read_position(asked, "as_of", faults, reader)
    if position is None:
        raise invalid(faults)
    state = job_as_of(reader, job_id, position)
    if state is None:
        submitted = reader.job_events(job_id, limit=1)[0]
        raise not_found(
            f"job {job_id} was not submitted yet as of {asked} (position {position})",
            fix=f"ask for position {submitted.position} or later: it was submitted at {submitted.recorded_at}",
        )
    return state


async def cancel(request: Request) -> Response:
    """Asks a job to stop: 202 while its worker still has to, 200 once it has."""
    context, job_id, actor = context_of(request), job_id_of(request), actor_of(request)
    asked = await read_json(request, CancelRequest) if has_body(request) else CancelRequest()
    state = await context.log.write(
        lambda transaction: transaction.change(
            job_id, lambda state: decide.request_cancellation(state, by=actor, reason=asked.reason), actor=actor
        )
    )
    return JSONResponse(job_view(state), 200 if state.status.is_final else 202)
