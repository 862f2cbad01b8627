"""The pages of the schedules: what is due when, what became of it, and a form that makes another one.

Imports the API's own functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ktrdr import sample
from ktrdr.api.context import context_of
from ktrdr.api.cursors import read_cursor, write_cursor
from ktrdr.api.dashboard.forms import Form, read_form
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.requests import faults_of
from ktrdr.api.schedule_requests import ScheduleRequest, TimingQuery
from ktrdr.api.schedule_views import TimingPreview, all_views, firing_views, schedule_view
from ktrdr.api.schedules import change_schedule, create_schedule, fire_schedule, require_schedule, timing_preview
from ktrdr.jobs.refusals import ScheduleBusyError, ScheduleExistsError
from ktrdr.jobs.service import schedule_decisions as decisions
from ktrdr.problems import Problem, from_refusal, invalid
from ktrdr.sentences import FIRINGS, timing_text
from ktrdr.store import schedules as operations
from ktrdr.training.faults import Fault, InvalidInputError

_PAGE = 50
#: What the form holds at first.
_FIRST = {
    "name": "", "strategy": "trend_follower", "symbols": "", "cron": "30 2 * * tue-sat", "every": "",
    "timezone": "UTC", "window": "", "window_ends": "last_bar", "misfire": "once", "overlap": "skip", "seed": "request",
}  # fmt: skip
_TIMING = ("cron", "every", "timezone")
#: Does what a button asks for and gives where to look then.
Action = Callable[[Request, Form], Awaitable[str]]


@as_page
async def show_schedules(request: Request) -> Response:
    """Every schedule, and the form for another one."""
    return _list(request, _FIRST)


@as_page
async def make_schedule(request: Request) -> Response:
    """Makes the schedule that the form says, or shows the form again with what is wrong or when it would be due."""
    form = await read_form(request)
    typed = {name: form.text(name) for name in _FIRST}
    try:
        if form.text("action") == "check":
            timing = {name: typed[name] for name in _TIMING if typed[name]}
            return _list(request, typed, preview=timing_preview(TimingQuery.model_validate(timing)))
        schedule, warnings = await create_schedule(request, _asked(typed))
    except InvalidInputError as error:
        return _list(request, typed, problem=invalid(error.faults))
    except ValidationError as error:
        return _list(request, typed, problem=invalid(faults_of(error)))
    except ScheduleExistsError as refusal:
        return _list(request, typed, problem=from_refusal(refusal))
    except Problem as problem:
        return _list(request, typed, problem=problem)
    if warnings:
        return _one(request, schedule.name, warnings=warnings)
    return RedirectResponse(f"/schedules/{schedule.name}", 303)


@as_page
async def look_at_timing(request: Request) -> Response:
    """When a timing would be due, or what is wrong with it, while it is typed."""
    try:
        query = TimingQuery.model_validate({key: value for key, value in request.query_params.items() if value})
        local = timing_preview(query)["local"]
    except ValidationError as error:
        return JSONResponse({"local": [], "trouble": _in_words(faults_of(error))})
    except Problem as problem:
        return JSONResponse({"local": [], "trouble": _in_words(problem.faults)})
    return JSONResponse({"local": local, "trouble": "" if local else "Never."})


def _in_words(faults: Sequence[Fault]) -> str:
    return "; ".join(f"{fault.problem}: {fault.fix}" if fault.fix else fault.problem for fault in faults)


def _asked(typed: dict[str, str]) -> ScheduleRequest:
    """The request that the form makes. Raises ValidationError."""
    symbols = typed["symbols"].replace(",", " ").split()
    job = {"strategy": typed["strategy"], **({"symbols": symbols} if symbols else {})}
    fields = {name: value for name, value in typed.items() if value and name not in ("strategy", "symbols")}
    if not typed["window"]:
        fields.pop("window_ends", None)
    return ScheduleRequest.model_validate({"name": typed["name"], **fields, "job": job})


@as_page
async def show_schedule(request: Request) -> Response:
    """One schedule: what it is, when it is due, and what became of its moments."""
    return _one(request, require_schedule(request).name)


def _of_a_button(act: Action) -> Callable[[Request], Awaitable[Response]]:
    """A handler that acts and leads to a page, or shows the schedule with what was wrong."""

    @as_page
    @wraps(act)
    async def answer(request: Request) -> Response:
        form, name = await read_form(request), require_schedule(request).name
        try:
            return RedirectResponse(await act(request, form), 303)
        except InvalidInputError as error:
            return _one(request, name, problem=invalid(error.faults))
        except ScheduleBusyError as refusal:
            return _one(request, name, problem=from_refusal(refusal))
        except Problem as problem:
            return _one(request, name, problem=problem)

    return answer


@_of_a_button
async def pause_schedule(request: Request, form: Form) -> str:
    """Lets it fire no more by the clock."""
    name, reason = require_schedule(request).name, form.text("reason")[:1000]
    await change_schedule(request, name, lambda schedule, _: decisions.pause(schedule, reason))
    return f"/schedules/{name}"


@_of_a_button
async def resume_schedule(request: Request, _form: Form) -> str:
    """Lets it go on."""
    name = require_schedule(request).name
    await change_schedule(request, name, lambda schedule, transaction: decisions.resume(schedule, transaction.now))
    return f"/schedules/{name}"


@_of_a_button
async def fire_now(request: Request, _form: Form) -> str:
    """Submits its job and leads to that."""
    return f"/jobs/{(await fire_schedule(request, require_schedule(request))).job_id}"


@_of_a_button
async def delete_schedule(request: Request, _form: Form) -> str:
    """Ends it."""
    name = require_schedule(request).name
    await change_schedule(request, name, lambda schedule, transaction: decisions.delete(schedule, transaction.now))
    return "/schedules"


def _list(
    request: Request, typed: dict[str, str], *, problem: Problem | None = None, preview: TimingPreview | None = None
) -> Response:
    context = context_of(request)
    reader = context.reader
    return page(
        request,
        "schedules.html",
        status=problem.status if problem else 200,
        position=reader.last_position(),
        schedules=all_views(reader),
        typed=typed,
        problem=problem,
        preview=preview,
        strategies=sorted({*reader.strategy_names(), *sample.strategies()}),
        timing_text=timing_text,
    )


def _one(request: Request, name: str, *, problem: Problem | None = None, warnings: list[str] | None = None) -> Response:
    reader = context_of(request).reader
    faults: list[Fault] = []
    before = read_cursor(request.query_params.get("cursor"), faults)
    if faults:
        raise invalid(faults)
    position = reader.last_position()
    view = schedule_view(reader, operations.find(reader, name))
    found = operations.firings(reader, name, before=before[0] if before else None, limit=_PAGE + 1)
    values: dict[str, Any] = {
        "schedule": view,
        "definition": view["definition"],
        "job": view["definition"]["job"],
        "firings": firing_views(reader, found[:_PAGE]),
        "next_cursor": write_cursor(found[_PAGE - 1].position) if len(found) > _PAGE else None,
        "outcomes": {**FIRINGS, "skipped": "skipped"},
    }
    return page(
        request,
        "schedule.html",
        status=problem.status if problem else 200,
        position=position,
        problem=problem,
        warnings=warnings or [],
        timing_text=timing_text,
        **values,
    )
