"""Schedules over HTTP: make, look at, change, pause, fire and delete one; what it did, and when it would be due.

Imports the domain of schedules and the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api.conditions import is_unchanged, json_answer, tags_of, unchanged
from ktrdr.api.context import Context, actor_of, context_of, traceparent_of
from ktrdr.api.cursors import link_to_next, read_cursor, write_cursor
from ktrdr.api.jobs import answer_submission, find_same, idempotency_key_of
from ktrdr.api.requests import Body, has_body, read_json, read_json_and_digest, read_query
from ktrdr.api.schedule_requests import (
    ScheduleChange,
    ScheduleRequest,
    TimingQuery,
    definition_of_request,
    faults_of_change,
    faults_of_name,
    read_request_timing,
)
from ktrdr.api.schedule_views import (
    ChangedSchedule,
    FiringPage,
    ScheduleList,
    ScheduleView,
    TimingPreview,
    all_views,
    firing_views,
    schedule_view,
)
from ktrdr.clock import system_clock, to_instant
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import ServiceEvent
from ktrdr.jobs.refusals import StaleVersionError
from ktrdr.jobs.service import schedule_decisions as decisions
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.jobs.state import JobState
from ktrdr.problems import invalid, precondition_failed
from ktrdr.store import schedules as operations
from ktrdr.store.log import Transaction
from ktrdr.submission.firing import submission_of
from ktrdr.training.faults import Fault, InvalidInputError

LARGEST_PAGE = 500
_VERSION = re.compile(r'"v(\d{1,15})["-]')


class PauseRequest(Body):
    """Why a schedule shall fire no more for now."""

    reason: str = Field("", max_length=1000)


class FiringQuery(Body):
    """Which page of what became of a schedule's moments."""

    limit: int = Field(50, ge=1, le=LARGEST_PAGE)
    cursor: str | None = Field(None, max_length=120, description="From `next_cursor` of the page before.")


async def list_schedules(request: Request) -> Response:
    """Every schedule, by name."""
    reader = context_of(request).reader
    return json_answer(request, ScheduleList(schedules=all_views(reader)))


async def create(request: Request) -> Response:
    """Makes a schedule: 201, and it fires from now on. The whole of it is checked, its training too."""
    context = context_of(request)
    asked, _ = await read_json_and_digest(request, ScheduleRequest, lambda asked: faults_of_change(context, asked))
    schedule, warnings = await create_schedule(request, asked)
    return _changed(context, schedule, warnings, 201, {"Location": f"{request.url.path}/{schedule.name}"})


async def show(request: Request) -> Response:
    """A schedule: what it is, when it is due next, what it did last."""
    view = schedule_view(context_of(request).reader, require_schedule(request))
    etag = _tag(view)
    return unchanged(etag) if is_unchanged(request, etag) else JSONResponse(view, headers={"ETag": etag})


async def change(request: Request) -> Response:
    """Puts another definition in the place of a schedule's, from now on; with If-Match only of that version."""
    context, before = context_of(request), require_schedule(request)
    asked, _ = await read_json_and_digest(request, ScheduleChange, lambda asked: faults_of_change(context, asked))
    definition, warnings = definition_of_request(context, asked, before.name, before)
    schedule = await change_schedule(
        request, before.name, lambda schedule, transaction: decisions.change(schedule, definition, transaction.now)
    )
    return _changed(context, schedule, warnings)


async def pause(request: Request) -> Response:
    """Lets a schedule fire no more until it goes on; the moments in between are skipped. With If-Match as above."""
    asked = await read_json(request, PauseRequest) if has_body(request) else PauseRequest()
    name = require_schedule(request).name
    schedule = await change_schedule(request, name, lambda schedule, _: decisions.pause(schedule, asked.reason))
    return _changed(context_of(request), schedule, [])


async def resume(request: Request) -> Response:
    """Lets a paused schedule go on. What came due in the meantime is recorded as skipped."""
    name = require_schedule(request).name
    schedule = await change_schedule(
        request, name, lambda schedule, transaction: decisions.resume(schedule, transaction.now)
    )
    return _changed(context_of(request), schedule, [])


async def delete(request: Request) -> Response:
    """Ends a schedule; its jobs stay, and so does its history in the log."""
    name = require_schedule(request).name
    await change_schedule(request, name, lambda schedule, transaction: decisions.delete(schedule, transaction.now))
    return Response(status_code=204)


async def fire(request: Request) -> Response:
    """Submits the job of a schedule now, paused or not: 202 with the job. The moments to come stay as they are."""
    key = idempotency_key_of(request)
    state = await fire_schedule(request, require_schedule(request), key=key)
    prefix = request.url.path.partition("/schedules/")[0]
    return await answer_submission(request, state, f"{prefix}/jobs/{state.job_id}")


async def list_firings(request: Request) -> Response:
    """What became of the moments of a schedule, newest first: fired or skipped, why, and how its jobs are now."""
    reader, query = context_of(request).reader, read_query(request, FiringQuery)
    schedule, faults = require_schedule(request), list[Fault]()
    before = read_cursor(query.cursor, faults)
    if faults:
        raise invalid(faults)
    found = operations.firings(reader, schedule.name, before=before[0] if before else None, limit=query.limit + 1)
    cursor = write_cursor(found[query.limit - 1].position) if len(found) > query.limit else None
    body = FiringPage(firings=firing_views(reader, found[: query.limit]), next_cursor=cursor)
    return json_answer(request, body, link_to_next(request, cursor=cursor))


async def preview(request: Request) -> Response:
    """When a schedule of such a timing would be due next."""
    return json_answer(request, timing_preview(read_query(request, TimingQuery)))


def timing_preview(asked: TimingQuery) -> TimingPreview:
    """Raises a problem with every fault."""
    faults: list[Fault] = []
    now = system_clock()
    timing = read_request_timing(asked, faults, start=to_instant(now))
    if timing is None:
        raise invalid(faults)
    moments = timing.upcoming(now, asked.count)
    return TimingPreview(
        next=[to_instant(moment) for moment in moments],
        local=[moment.astimezone(timing.zone).isoformat(timespec="seconds") for moment in moments],
    )


async def create_schedule(request: Request, asked: ScheduleRequest) -> tuple[Schedule, list[str]]:
    """The schedule that is asked for, and warnings of it.

    Raises ScheduleExistsError, and InvalidInputError with every fault.
    """
    context, actor = context_of(request), actor_of(request)
    faults = faults_of_name(asked.name)
    try:
        definition, warnings = definition_of_request(context, asked, asked.name)
    except InvalidInputError as error:
        raise InvalidInputError([*faults, *error.faults]) from None
    if faults:
        raise InvalidInputError(faults)
    schedule = await context.log.write(
        lambda transaction: transaction.change_subject(
            Schedule, asked.name, lambda schedule: decisions.create(schedule, definition), actor=actor
        )
    )
    return schedule, warnings


async def change_schedule(
    request: Request, name: str, decide: Callable[[Schedule, Transaction], Sequence[ServiceEvent]]
) -> Schedule:
    """Records what is decided of a schedule. Raises what is refused, and a problem if If-Match says another version."""
    actor = actor_of(request)

    def operation(transaction: Transaction) -> Schedule:
        def decide_events(schedule: Schedule) -> Sequence[ServiceEvent]:
            decided = decide(schedule, transaction)
            _require_match(request, schedule)
            return decided

        return transaction.change_subject(Schedule, name, decide_events, actor=actor)

    return await context_of(request).log.write(operation)


async def fire_schedule(request: Request, schedule: Schedule, *, key: str | None = None) -> JobState:
    """The job that a schedule submits now, or the one that a request with the same key made it submit before.

    Raises ScheduleBusyError and UnknownScheduleError, and InvalidInputError where the job cannot be submitted.
    """
    context, actor = context_of(request), actor_of(request)
    while True:
        submitted = submission_of(
            schedule,
            to_instant(system_clock()),
            idempotency_key=key,
            traceparent=traceparent_of(request),
            default_target=context.settings.default_target,
            reader=context.reader,
            cache=context.strategies,
        )

        def operation(transaction: Transaction, schedule: Schedule = schedule, submitted: Any = submitted) -> JobState:
            known = find_same(transaction, key, submitted.request_digest) if key else None
            return known or operations.fire_now(transaction, schedule, submitted, by=actor)

        try:
            return await context.log.write(operation)
        except StaleVersionError:
            schedule = operations.find(context.reader, schedule.name)  # it fired, or was changed, in the meantime


def require_schedule(request: Request) -> Schedule:
    """The schedule that the path names. Raises UnknownScheduleError."""
    return operations.find(context_of(request).reader, str(request.path_params["name"]))


def _changed(
    context: Context, schedule: Schedule, warnings: list[str], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    view = schedule_view(context.reader, schedule)
    body = ChangedSchedule(**view, warnings=warnings)
    return JSONResponse(body, status, headers={**(headers or {}), "ETag": _tag(view)})


def _tag(view: ScheduleView) -> str:
    """Of its version and of what changes without one: the moments ahead, and how its last job is."""
    shown = dumps([view["next"], view["last_firing"]])
    return f'"v{view["version"]}-{crc32(shown.encode()):08x}"'


def _require_match(request: Request, schedule: Schedule) -> None:
    """Raises a problem if If-Match names other versions than this one."""
    tags = tags_of(request, "If-Match")
    if tags is None or tags == ("*",):
        return
    versions = {int(found[1]) for found in map(_VERSION.match, tags) if found}
    if schedule.version not in versions:
        wanted = ", ".join(map(str, sorted(versions))) or "none of a schedule"
        raise precondition_failed(
            f"schedule {schedule.name} is at version {schedule.version}, and If-Match names {wanted}"
        )
