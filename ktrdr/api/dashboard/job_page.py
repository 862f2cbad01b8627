"""The page of a job, as it is or as it was at any position of the log. Imports the store and the API's functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api.context import Context, context_of, job_id_of
from ktrdr.api.dashboard.job_moment import JobMoment, event_list, moment_of
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.dashboard.timeline import Kind, Stretch
from ktrdr.api.moments import read_position
from ktrdr.clock import system_clock, to_instant
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.state import Status
from ktrdr.problems import Problem, invalid
from ktrdr.store.course import children_of, positions_of
from ktrdr.store.reader import Reader
from ktrdr.training.faults import Fault

#: Width of the timeline in units of its SVG.
_WIDTH = 1000.0
#: Narrower stretches are drawn so wide that they can be seen and pointed at.
_NARROWEST = 2.0
#: The log keeps keys in the order of their names; people read a strategy in this one.
_SECTIONS = (
    "name", "", "training_data", "context_data", "indicators", "fuzzy_sets", "nn_inputs", "model", "decisions",
    "training",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stretch as the timeline draws it."""

    stretch: Stretch
    x: float
    width: float
    share: float


@as_page
async def show_job(request: Request) -> Response:
    """Everything about a job; with `as_of`, as it was."""
    return await job_answer(request)


async def job_answer(request: Request, *, problem: Problem | None = None) -> Response:
    """The page of the job that the path names; with a problem, what was wrong with what someone wanted to do."""
    context, job_id = context_of(request), job_id_of(request)
    as_of = _as_of(request, context.reader)
    moment = await context.past.ask(moment_of, job_id, as_of, to_instant(system_clock()))
    types = [one for one in request.query_params.getlist("type") if one in moment.counts]
    before = request.query_params.get("before", "")
    events, older = await context.past.ask(
        event_list,
        job_id,
        until=moment.position,
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 10 else None,
        types=types,
    )
    return page(
        request,
        "job.html",
        status=problem.status if problem else 200,
        m=moment,
        job=moment.job,
        bars=bars(moment.stretches),
        curves=json.dumps(curves(moment)),
        strategy=_as_yaml(dumps(moment.submitted.strategy)),
        events=events,
        older=older,
        types=types,
        actions=actions_of(context, moment),
        children=await context.past.ask(children_of, moment.job, limit=20),
        problem=problem,
        Kind=Kind,
    )


async def job_moments(request: Request) -> Response:
    """The positions of a job's events: where the slider can stand."""
    context, job_id = context_of(request), job_id_of(request)
    context.reader.job(job_id)
    return JSONResponse({"positions": await context.past.ask(positions_of, job_id)})


def bars(stretches: Sequence[Stretch]) -> list[Bar]:
    """The stretches to scale."""
    whole = sum(stretch.seconds for stretch in stretches) or 1.0
    found, x = [], 0.0
    for stretch in stretches:
        share = stretch.seconds / whole
        found.append(Bar(stretch=stretch, x=x, width=max(share * _WIDTH, _NARROWEST), share=share))
        x += share * _WIDTH
    return found


def curves(moment: JobMoment) -> dict[str, Any]:
    """What the charts draw: a list for each quantity, one value an epoch, and the marks."""
    names = (
        "epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate", "seconds",
    )  # fmt: skip
    return {
        **{name: [getattr(epoch, name) for epoch in moment.epochs] for name in names},
        "epochs": moment.job.epochs,
        "best": moment.best_epoch,
        "marks": [{"kind": mark.kind, "epoch": mark.epoch} for mark in moment.marks],
    }


def actions_of(context: Context, moment: JobMoment) -> Mapping[str, str | None]:
    """Action → why it is not possible now; None where it is."""
    job = moment.job
    if moment.is_past:
        return dict.fromkeys(("cancel", "retry", "resume", "fork"), "this is the past: go back to live to act")
    ended = job.status.is_final
    has_checkpoints = bool(job.checkpoints) and any(
        context.store.checkpoints.path(saved["digest"]).exists() for saved in job.checkpoints
    )
    kept = None if has_checkpoints else "it has saved no checkpoint that is still here"
    cancel = f"it is {job.status} already" if ended else None
    if job.status is Status.CANCELLING:
        cancel = "someone has asked for it already; its worker is stopping"
    wait = None if ended else f"it is {job.status}: wait until it has ended, or cancel it"
    return {"cancel": cancel, "retry": wait, "resume": wait or kept, "fork": kept}


@lru_cache(maxsize=64)
def _as_yaml(strategy: str) -> str:
    """A strategy in JSON as people write it. Remembered, because a page that is looked at asks again and again."""
    sections = json.loads(strategy)
    ordered = {key: sections[key] for key in sorted(sections, key=_place)}
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)


def _place(section: str) -> int:
    """Where a section stands in a strategy file; what is no section (a description, say) stands below the name."""
    return _SECTIONS.index(section) if section in _SECTIONS else 1


def _as_of(request: Request, reader: Reader) -> int | None:
    asked = request.query_params.get("as_of") or None
    faults: list[Fault] = []
    position = read_position(asked, "as_of", faults, reader)
    if faults:
        raise invalid(faults)
    return position
