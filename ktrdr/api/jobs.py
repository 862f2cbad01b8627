"""Jobs over HTTP: submit, list, look at one, cancel. Imports jobs and the store."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from zlib import crc32

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api.conditions import is_unchanged, json_answer, tags_of, unchanged
from ktrdr.api.context import Context, actor_of, context_of, job_id_of, traceparent_of
from ktrdr.api.cursors import link_to_next, read_cursor, write_cursor
from ktrdr.api.moments import DESCRIPTION, read_instant, read_position
from ktrdr.api.preferences import applied, wait_for_job, wait_seconds
from ktrdr.api.requests import Body, has_body, read_json, read_json_and_digest, read_query
from ktrdr.api.submissions import JobRequest, prepare
from ktrdr.api.views import JobPage, job_detail, job_view
from ktrdr.jobs import decide
from ktrdr.jobs.events import JobEvent, JobId, JobSubmitted
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.refusals import IdempotencyKeyError
from ktrdr.jobs.state import JobState, Status, no_job
from ktrdr.problems import invalid, not_found, precondition_failed
from ktrdr.store.history import job_as_of, jobs_as_of
from ktrdr.store.log import Transaction
from ktrdr.store.projections import find_job_by_key
from ktrdr.store.reader import JobFilter, Reader
from ktrdr.training.faults import Fault, InvalidInputError

LARGEST_PAGE = 500
#: With an answer that is not the last word.
RETRY_AFTER = {"Retry-After": "1"}
_VERSION = re.compile(r'"v(\d{1,15})["-]')


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

    LIMIT = 16_384
    reason: str = Field("", max_length=1000)


async def submit(request: Request) -> Response:
    """Accepts a training: 202 with the job, which waits for a worker now."""
    key = idempotency_key_of(request)

    def faults_of_meaning(asked: JobRequest) -> Sequence[Fault]:
        try:
            resolve(request, asked)
        except InvalidInputError as error:
            return error.faults
        return ()

    asked, digest = await read_json_and_digest(request, JobRequest, faults_of_meaning)
    state = await submit_asked(request, asked, key=key, digest=digest)
    return await answer_submission(request, state, f"{request.scope['path']}/{state.job_id}")


async def submit_asked(request: Request, asked: JobRequest, *, key: str | None = None, digest: str = "") -> JobState:
    """The job that was asked for, or the one that a request with the same key and content created before.

    Raises InvalidInputError with every fault of the request.
    """
    submitted, actor = resolve(request, asked, key=key, digest=digest), actor_of(request)
    return await context_of(request).log.write(lambda transaction: submit_once(transaction, submitted, actor))


def resolve(request: Request, asked: JobRequest, *, key: str | None = None, digest: str = "") -> JobSubmitted:
    """What was asked for with everything that it leaves out. Raises InvalidInputError with every fault."""
    context = context_of(request)
    return prepare(
        asked,
        digest,
        key,
        traceparent=traceparent_of(request),
        default_target=context.settings.default_target,
        reader=context.reader,
        cache=context.strategies,
    )


async def answer_submission(request: Request, state: JobState, location: str) -> Response:
    """202 with the job, or 200 once it has ended, for those who would rather wait for that.

    A repeated request is answered like the first one, 202, however far its job is by now.
    """
    headers = {"Location": location}
    if seconds := wait_seconds(request):
        state = await wait_for_job(request, context_of(request), state.job_id, seconds, _has_ended)
        headers |= applied(seconds)
        if state.status.is_final:
            return JSONResponse(job_view(state), 200, headers)
    return JSONResponse(job_view(state), 202, headers | RETRY_AFTER)


def _has_ended(state: JobState) -> bool:
    return state.status.is_final


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
    found = await find_jobs(context_of(request), read_query(request, JobQuery))
    body = JobPage(jobs=[job_view(state) for state in found.jobs], as_of=found.as_of, next_cursor=found.next_cursor)
    return json_answer(request, body, link_to_next(request, cursor=found.next_cursor))


@dataclass(frozen=True, slots=True)
class FoundJobs:
    """A page of jobs."""

    jobs: list[JobState]
    as_of: int | None
    next_cursor: str | None


async def find_jobs(context: Context, query: JobQuery) -> FoundJobs:
    """The jobs that a query wants, newest first. Raises a problem that lists every fault of the query."""
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
    return FoundJobs([state for _, state in page], as_of, next_cursor)


async def show(request: Request) -> Response:
    """One job with everything that it was submitted with, as it is or as it was at a moment.

    The ETag is its version and, while it waits, why. With `Prefer: wait=N` the answer comes once the job is another
    than If-None-Match says or, without that, has ended.
    """
    context, job_id = context_of(request), job_id_of(request)
    reader, asked = context.reader, read_query(request, ShowQuery).as_of
    headers = {}
    if asked is None:
        if seconds := wait_seconds(request):
            seen = "if-none-match" in request.headers

            def is_enough(state: JobState) -> bool:
                is_news = seen and not is_unchanged(request, _tag(state, reader.why_waiting(state)))
                return state.status.is_final or is_news

            await wait_for_job(request, context, job_id, seconds, is_enough)
            headers = applied(seconds)
        state = reader.job(job_id)
        waiting = reader.why_waiting(state)
    else:
        # Why it waited depends on the workers and rules of that time, which are not in the log.
        state, waiting = _job_as_of(reader, job_id, asked), None
    etag = _tag(state, waiting)
    if is_unchanged(request, etag):
        return unchanged(etag, headers)
    detail = job_detail(state, reader.submission(job_id), waiting=waiting)
    return JSONResponse(detail, headers={**headers, "ETag": etag})


def _tag(state: JobState, waiting: str | None) -> str:
    return f'"v{state.version}{"" if waiting is None else f"-{crc32(waiting.encode()):08x}"}"'


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
    """Asks a job to stop: 202 while its worker still has to, 200 once it has.

    With If-Match only if no event was recorded since: of the job's ETag its version counts, and not why it waits.
    """
    context, job_id = context_of(request), job_id_of(request)
    asked = await read_json(request, CancelRequest) if has_body(request) else CancelRequest()
    versions = _versions_of(request)
    state = await request_cancellation(context, job_id, asked, actor=actor_of(request), versions=versions)
    if state.status.is_final:
        return JSONResponse(job_view(state))
    return JSONResponse(job_view(state), 202, RETRY_AFTER)


async def request_cancellation(
    context: Context, job_id: JobId, asked: CancelRequest, *, actor: str, versions: frozenset[int] | None = None
) -> JobState:
    """Records that someone wants a job to stop; gives the job, which may have ended by it.

    Raises a problem if the job is at none of the `versions`; None allows every one.
    """

    def decide_events(state: JobState) -> Sequence[JobEvent]:
        decided = decide.request_cancellation(state, by=actor, reason=asked.reason)
        if versions is not None and state.version not in versions:
            wanted = ", ".join(map(str, sorted(versions))) or "none of a job"
            raise precondition_failed(f"job {job_id} is at version {state.version}, and If-Match names {wanted}")
        return decided

    return await context.log.write(lambda transaction: transaction.change(job_id, decide_events, actor=actor))


def _versions_of(request: Request) -> frozenset[int] | None:
    """The versions of the job that the request shall be carried out for; None for every one."""
    tags = tags_of(request, "If-Match")
    if tags is None or tags == ("*",):
        return None
    return frozenset(int(found[1]) for found in map(_VERSION.match, tags) if found)
