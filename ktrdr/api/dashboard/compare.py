"""The page that lays jobs over each other: curves, what was not the same, metrics, and why two of them differ.

Imports the audit and this package's own parts.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ktrdr.api.context import context_of
from ktrdr.api.counterfactuals import CounterfactualRequest, make_counterfactual
from ktrdr.api.dashboard.forms import read_form
from ktrdr.api.dashboard.plain_values import shown_value
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.requests import faults_of
from ktrdr.api.retries import create_again
from ktrdr.audit.archive import ArchiveError
from ktrdr.audit.attempts import Attempt, attempts_of, contributing, epochs_of
from ktrdr.audit.causes import MISSING
from ktrdr.audit.differences import Comparison, MetricDifference, compare, numbers_in
from ktrdr.audit.histories import read_history
from ktrdr.audit.side_by_side import Training, side_by_side
from ktrdr.jobs.events import JobCompleted, JobId, JobSubmitted, Recorded
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.state import JobState, fold
from ktrdr.problems import invalid, unavailable
from ktrdr.store import Store
from ktrdr.store.reader import JobFilter, Reader
from ktrdr.training.faults import dotted

#: More curves over each other can no longer be told apart.
MOST_JOBS = 5
LETTERS = "ABCDE"
#: Jobs that the page offers to choose from.
_OFFERED = 30
#: What is drawn: name of the curve's field in EpochFinished → its title.
CURVES = {
    "validation_loss": "Validation loss",
    "train_loss": "Train loss",
    "validation_accuracy": "Validation accuracy",
    "learning_rate": "Learning rate",
}
#: What the model is compared with, by metric.
_BASELINES = {
    "trading.net_return": "trading.buy_and_hold_return",
    "trading.sharpe": "trading.buy_and_hold_sharpe",
    "trading.max_drawdown": "trading.buy_and_hold_max_drawdown",
}
#: Metrics of single classes, and what the model is compared with.
_DETAILS = ("classes.", "no_skill_", "trading.buy_and_hold")
#: Metrics of which the smaller value is the better one, and those of which none is better.
_SMALLER_IS_BETTER = ("loss", "log_loss", "expected_calibration_error", "mae", "rmse", "trading.max_drawdown")
_NEITHER = ("samples", "trading.turnover", "trading.exposure", "trading.trades", "trading.round_trip_cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A job on the page."""

    letter: str
    state: JobState
    submitted: JobSubmitted
    attempts: Sequence[Attempt]
    history: Sequence[Recorded]

    @property
    def ended(self) -> JobCompleted | None:
        last = self.history[-1].event
        return last if isinstance(last, JobCompleted) else None


@as_page
async def show_comparison(request: Request) -> Response:
    """Two to five jobs compared, or what is needed to choose them."""
    context = context_of(request)
    asked = list(dict.fromkeys(text.strip() for text in request.query_params.getlist("job") if text.strip()))
    known, told = _known(asked, context.reader)
    values: dict[str, Any] = {"told": told, "offered": _offered(context.reader, known), "chosen": known}
    if len(known) < 2 or len(known) > MOST_JOBS:
        return page(
            request,
            "choose_compared.html",
            status=422 if len(asked) > len(known) or len(known) > MOST_JOBS else 200,
            **values,
        )
    position = context.reader.last_position()  # what the page's script goes on from
    try:
        compared = await asyncio.to_thread(_read, context.store, known)
        pair, swapped = _pair(request, compared)
        comparison = await asyncio.to_thread(compare, pair[0].history, pair[1].history)
    except ArchiveError as error:
        raise unavailable(str(error)) from None
    return page(
        request,
        "compare.html",
        compared=compared,
        curves=CURVES,
        series={"position": position, "jobs": [_series(one) for one in compared]},
        differing=list(_differing(compared)),
        metrics=list(_metrics(compared)),
        pair=pair,
        swapped=swapped,
        pairs=[(a, b) for number, a in enumerate(compared) for b in compared[number + 1 :]],
        comparison=comparison,
        shown_value=shown_value,
        effects=_effects(comparison),
        key=secrets.token_urlsafe(12),
        **values,
    )


@as_page
async def try_cause(request: Request) -> Response:
    """Submits one of the pair once more with one cause as in the other, and leads to the two side by side."""
    form = await read_form(request)
    a, b, cause = (form.text(name) for name in ("a", "b", "cause"))
    try:
        asked = CounterfactualRequest(of=b, cause=cause)
    except ValidationError as error:
        raise invalid(faults_of(error)) from None
    if not is_job_id(a):
        raise UnknownJobError(a[:80])
    digest = sha256(f"{a} {b} {cause}".encode()).hexdigest()
    state = await create_again(
        request,
        JobId(a),
        asked,
        make_counterfactual,
        key=f"form-{form.text('key')[:64]}-{digest[:16]}",
        body_digest=digest,
    )
    shown = [job_id for job_id in dict.fromkeys(form.texts("job")) if job_id != state.job_id]
    if a not in shown or len(shown) >= MOST_JOBS:
        shown = [a, b]
    pair = f"{LETTERS[shown.index(a)]}{LETTERS[len(shown)]}"
    query = urlencode([*(("job", job_id) for job_id in [*shown, state.job_id]), ("pair", pair)])
    return RedirectResponse(f"/compare?{query}#why", 303)


def _known(asked: Sequence[str], reader: Reader) -> tuple[list[JobId], list[str]]:
    """The jobs that there are, and what is wrong with the others, in words."""
    known: list[JobId] = []
    told: list[str] = []
    for text in asked:
        try:
            if not is_job_id(text):
                raise UnknownJobError(text[:80])
            known.append(reader.job(JobId(text)).job_id)
        except UnknownJobError:
            told.append(f"There is no job {text[:80]}.")
    if len(known) > MOST_JOBS:
        told.append(
            f"{len(known)} jobs are too many: at most {MOST_JOBS} curves can be told apart. Take some of them out."
        )
    elif len(known) == 1:
        told.append("One job alone has nothing to be compared with: choose another one.")
    return known, told


def _offered(reader: Reader, chosen: Sequence[JobId]) -> list[JobState]:
    """The jobs that can be chosen: those that are chosen already, and the newest others."""
    newest = [state for _, state in reader.jobs(JobFilter(), limit=_OFFERED) if state.job_id not in chosen]
    return [*(reader.job(job_id) for job_id in chosen), *newest]


def _read(store: Store, job_ids: Sequence[JobId]) -> list[Compared]:
    found = []
    for letter, job_id in zip(LETTERS, job_ids, strict=False):
        history = read_history(store, job_id)
        submitted = history[0].event
        assert isinstance(submitted, JobSubmitted)
        found.append(
            Compared(
                letter=letter,
                state=fold(history),
                submitted=submitted,
                attempts=attempts_of(history),
                history=history,
            )
        )
    return found


def _pair(request: Request, compared: Sequence[Compared]) -> tuple[tuple[Compared, Compared], str]:
    """The two of which the page says why they differ, as `pair=BC` asks; and the address of the same the other way."""
    by_letter = {one.letter: one for one in compared}
    letters = request.query_params.get("pair", "").upper()
    is_pair = len(letters) == 2 and letters[0] != letters[1] and all(letter in by_letter for letter in letters)
    a, b = (letters[0], letters[1]) if is_pair else ("A", "B")
    return (by_letter[a], by_letter[b]), b + a


def _series(one: Compared) -> dict[str, Any]:
    """The curves of a job as far as it went, for the page's script, which goes on with them."""
    epochs = epochs_of(contributing(one.attempts))
    return {
        "id": one.state.job_id,
        "letter": one.letter,
        "name": one.state.name,
        "position": one.state.position,
        "is_final": one.state.status.is_final,
        "epochs": list(epochs),
        **{name: [getattr(epoch, name) for epoch in epochs.values()] for name in CURVES},
    }


def _differing(compared: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """The rows of the table of what was not the same: what a result can depend on, then how the jobs were run."""
    trainings = [Training(one.submitted, one.attempts) for one in compared]
    for row in side_by_side(trainings):
        yield {"path": row.path, "kind": row.kind, "reach": row.reach, "values": row.values}
    for name in ("target", "require_gpu", "prefer_gpu", "priority", "labels", "max_attempts"):
        values = tuple(getattr(one.submitted, name) for one in compared)
        if any(value != values[0] for value in values):
            yield {"path": name, "kind": "run", "reach": "nothing", "values": values}
    workers = tuple(one.attempts[-1].claimed.worker if one.attempts else MISSING for one in compared)
    if any(worker != workers[0] for worker in workers):
        yield {"path": "worker", "kind": "run", "reach": "nothing", "values": workers}


def _metrics(compared: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """The rows of the table of metrics: each with what the model is compared with beside it, and which is best."""
    found = [dict(_named(one)) for one in compared]
    for name in dict.fromkeys(name for numbers in found for name in numbers):
        if name.startswith(_DETAILS):
            continue
        baseline = _BASELINES.get(name, f"no_skill_{name}")
        values = [numbers.get(name) for numbers in found]
        yield {
            "name": name,
            "values": values,
            "baselines": [numbers.get(baseline) for numbers in found],
            "baseline_name": "buy and hold" if name in _BASELINES else "no skill",
            "best": _best(name, values),
        }


def _named(one: Compared) -> Iterator[tuple[str, float]]:
    metrics: Mapping[str, Any] = one.ended.metrics if one.ended else {}
    for place, value in numbers_in(metrics):
        yield dotted(place), value


def _best(name: str, values: Sequence[float | None]) -> float | None:
    """The best value; None where none is better than all others, or where it is no matter of better."""
    known = [value for value in values if value is not None]
    if name in _NEITHER or len(set(known)) < 2:
        return None
    return min(known) if name in _SMALLER_IS_BETTER else max(known)


def _effects(comparison: Comparison) -> list[MetricDifference]:
    """The metrics over all symbols that differ between two jobs and say what a model is worth."""
    return [
        one
        for one in comparison.metrics
        if one.symbol is None and one.difference != 0 and not one.metric.startswith(_DETAILS)
    ]
