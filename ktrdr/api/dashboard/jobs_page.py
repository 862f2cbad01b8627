"""The list of jobs, and how to begin where there are none. Imports the store and the API's own functions.

The address is the whole state of the page: filters, search and place in the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ktrdr import sample
from ktrdr.api.context import Context, context_of
from ktrdr.api.dashboard.losses import LossCourses
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.datasets import ImportQuery, import_file
from ktrdr.api.jobs import JobQuery, find_jobs, submit_asked
from ktrdr.api.requests import faults_of
from ktrdr.api.submissions import JobRequest
from ktrdr.clock import system_clock, to_instant
from ktrdr.jobs.events import Instant
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.state import JobState, Status
from ktrdr.problems import Problem, invalid
from ktrdr.sentences import seconds_between, words
from ktrdr.store.reader import PRICES

#: What a first training is made of: it takes seconds and is good to look at.
FIRST_STRATEGY = "trend_follower"
_PAGE = 50
#: Fields of the filter form that are fields of JobQuery.
_FIELDS = ("strategy", "symbol", "submitted_from", "submitted_until", "cursor")
#: Of how many jobs a comparison is made.
COMPARED = (2, 5)

_LOSSES = LossCourses()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A job in the list."""

    job: JobState
    #: How far it is, 0 to 1; None where nothing can be said.
    share_done: float | None
    #: How far it is, in words.
    progress: str
    #: Seconds in which it ran, so far if it still does; None before.
    seconds: float | None
    #: Points of the curve of its validation losses, for a polyline in a box of 100 by 24.
    sparkline: str
    best_loss: float | None


@as_page
async def show_jobs(request: Request) -> Response:
    """The jobs, newest first, as the address filters them."""
    context = context_of(request)
    search = request.query_params.get("q", "").strip()
    if is_job_id(search):
        return RedirectResponse(f"/jobs/{search}", 303)
    position = context.reader.last_position()
    problem: Problem | None = None
    try:
        found = await find_jobs(context, _query(request.query_params, search, context))
        jobs, next_cursor = found.jobs, found.next_cursor
    except Problem as error:
        problem, jobs, next_cursor = error, [], None
    losses = await context.past.ask(_LOSSES.of, jobs)
    now = to_instant(system_clock())
    counts = context.reader.status_counts()
    asked = {name: request.query_params.get(name, "") for name in ("q", "label", *_FIELDS)}
    return page(
        request,
        "jobs.html",
        status=problem.status if problem else 200,
        rows=[_row(job, losses.get(job.job_id, ()), now) for job in jobs],
        counts={status: counts.get(status, 0) for status in Status},
        total=sum(counts.values()),
        chosen=request.query_params.getlist("status"),
        asked=asked,
        is_filtered=any(asked[name] for name in asked if name != "cursor") or bool(request.query_params.get("status")),
        addresses={status: _address(request, status=status) for status in ("", *Status)},
        next_address=_address(request, cursor=next_cursor) if next_cursor else None,
        first_address=_address(request, cursor=None),
        strategies=sorted({*context.reader.strategy_names(), *sample.strategies()}),
        symbols=_symbols(context),
        position=position,
        now=now,
        problem=problem,
        has_prices=bool(_symbols(context)),
        first_strategy=FIRST_STRATEGY,
        compared=COMPARED,
    )


@as_page
async def begin(request: Request) -> Response:
    """Imports the sample prices and trains the sample strategy: the first minute of someone who is new."""
    context = context_of(request)
    if not _symbols(context):
        await import_file(context, sample.prices(), ImportQuery(filename="prices.csv.gz"))
    state = await submit_asked(request, JobRequest(strategy=FIRST_STRATEGY))
    return RedirectResponse(f"/jobs/{state.job_id}", 303)


def _query(given: Mapping[str, str], search: str, context: Context) -> JobQuery:
    """What the form asks for; a field that is empty does not restrict. Raises a problem that lists every fault."""
    values: dict[str, object] = {name: given[name].strip() for name in _FIELDS if given.get(name, "").strip()}
    statuses = [status for status in getattr(given, "getlist", lambda _: [])("status") if status]
    labels = [*given.get("label", "").replace(",", " ").split()]
    for word in search.split():
        if "=" in word:
            labels.append(word)
        elif word in _symbols(context) and "symbol" not in values:
            values["symbol"] = word
        else:
            values.setdefault("strategy", word)
    try:
        return JobQuery.model_validate(
            {**values, "status": tuple(statuses), "label": tuple(labels), "limit": _PAGE}, strict=False
        )
    except ValidationError as error:
        raise invalid(faults_of(error)) from None


def _address(request: Request, **changes: str | None) -> str:
    """This page with other filters, from its beginning unless a cursor is given."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in ("cursor", *changes)]
    kept += [(name, value) for name, value in changes.items() if value]
    kept = [(name, value) for name, value in kept if value]
    return f"/?{urlencode(kept)}" if kept else "/"


def _symbols(context: Context) -> list[str]:
    return sorted({dataset.symbol for dataset in context.reader.datasets() if dataset.kind == PRICES})


def _row(job: JobState, losses: Sequence[float], now: Instant) -> Row:
    return Row(
        job=job,
        share_done=_share_done(job),
        progress=_progress(job),
        seconds=seconds_between(job.started_at, job.finished_at or now) if job.started_at else None,
        sparkline=polyline(losses),
        best_loss=min(losses, default=None),
    )


def _share_done(job: JobState) -> float | None:
    if job.status is Status.COMPLETED or not job.stage_total:
        return None
    if job.stage == "train_model" and job.epochs:
        within = job.batch / job.batches if job.batches else 1.0
        return min(1.0, max(0.0, (job.epoch - 1 + within) / job.epochs))
    return None


def _progress(job: JobState) -> str:
    if job.status is Status.COMPLETED:
        return f"{job.epochs_trained} epochs"
    if job.epochs and job.epoch:
        return f"epoch {job.epoch} of {job.epochs}"
    return words(job.stage) if job.stage else ""


def polyline(values: Sequence[float], width: int = 100, height: int = 24) -> str:
    """Values as the points of an SVG polyline, the largest on top; empty where they make no line."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    step = width / (len(values) - 1)
    scale = (height - 2) / (high - low) if high > low else 0.0
    return " ".join(f"{number * step:.1f},{1 + (high - value) * scale:.1f}" for number, value in enumerate(values))
