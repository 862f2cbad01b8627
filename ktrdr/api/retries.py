"""Jobs made of other jobs: the same training once more, or another one that goes on from an epoch of it.

Imports the grammar, jobs and the store. What both have in common with a submission is in `ktrdr.api.jobs`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from ktrdr import __version__
from ktrdr.api.checkpoints import checkpoints_of
from ktrdr.api.context import Context, actor_of, context_of, job_id_of, traceparent_of
from ktrdr.api.jobs import answer_submission, create_job, find_same, idempotency_key_of
from ktrdr.api.requests import Body, has_body, read_json_and_digest
from ktrdr.api.submissions import Label
from ktrdr.jobs.events import JobId, JobSubmitted, Json, Relation, Target
from ktrdr.jobs.state import JobState
from ktrdr.problems import Problem, conflict
from ktrdr.store.log import Transaction
from ktrdr.submission.strategies import event_fields
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.parse import from_mapping

AskedType = TypeVar("AskedType", bound="RunRequest")


class RunRequest(Body):
    """How a job runs: nothing here changes its model. What is not given is as in the job before."""

    target: Target | None = Field(None, strict=False, description="Which workers may run it.")
    require_gpu: bool | None = Field(None, description="Fail rather than run without a GPU.")
    prefer_gpu: bool | None = Field(None, description="Run on a GPU if one is free, else without, and say why.")
    priority: int | None = Field(None, ge=-1000, le=1000, description="Higher runs first.")
    labels: dict[Label, Label] | None = Field(None, max_length=32)
    max_attempts: int | None = Field(None, ge=1, le=100, description="Tries before the job counts as failed.")
    checkpoint_every_epochs: int | None = Field(None, ge=1, description="Save a checkpoint after so many epochs.")
    checkpoint_every_seconds: float | None = Field(None, gt=0, le=86_400, description="And after so many seconds.")


class RetryRequest(RunRequest):
    """The same training once more."""

    from_checkpoint: bool = Field(False, description="Go on from its newest checkpoint rather than from the start.")


class ForkRequest(RunRequest):
    """A training that goes on from an epoch of another one, with changes."""

    epoch: int | None = Field(None, ge=1, description="Which epoch's checkpoint; without one the newest.")
    changes: dict[str, Any] = Field(
        default_factory=dict,
        max_length=100,
        description="Dotted keys of the resolved strategy, each with its new value: `training.epochs`.",
    )
    seed: int | None = Field(None, ge=0, lt=2**53, description="In place of the other job's.")


Make = Callable[[Context, JobState, JobSubmitted, AskedType], JobSubmitted]


async def retry(request: Request) -> Response:
    """Submits a job that has ended once more, with the same data; its model will be the same."""
    return await submit_again(request, RetryRequest, make_retry)


async def fork(request: Request) -> Response:
    """Submits a job that goes on from a checkpoint of another one, with changes.

    It has the other job's data, weights, history and, as far as they still fit, optimizer memory and generators;
    learning-rate schedule and early stopping are its own.
    """
    return await submit_again(request, ForkRequest, make_fork)


def make_retry(context: Context, parent: JobState, submitted: JobSubmitted, asked: RetryRequest) -> JobSubmitted:
    """The submission of the same training once more. Raises a problem for a job that has not ended."""
    if not parent.status.is_final:
        raise conflict(f"job {parent.job_id} is {parent.status}", fix="wait until it has ended, or cancel it")
    starts_from = submitted.forked_from
    if asked.from_checkpoint:
        starts_from = _newest_checkpoint(context, parent.job_id, submitted)
    return replace(submitted, relation=Relation.RETRY, starts_from=starts_from)


def make_fork(context: Context, parent: JobState, submitted: JobSubmitted, asked: ForkRequest) -> JobSubmitted:
    """The submission of a training that goes on from an epoch of another. Raises a problem, or InvalidInputError."""
    origin = _checkpoint_of_epoch(context, parent.job_id, asked.epoch)
    strategy = _changed_strategy(submitted.strategy, asked.changes, origin["epoch"])
    return replace(
        submitted,
        **event_fields(strategy),
        seed=submitted.seed if asked.seed is None else asked.seed,
        relation=Relation.FORK,
        starts_from=origin,
        forked_from=origin,
    )


async def submit_again(
    request: Request, model: type[AskedType], make: Make[AskedType], *, needs_body: bool = False
) -> Response:
    """Creates the job that `make` makes of the one in the path, or finds the one that the same request created."""
    parent_id, key = job_id_of(request), idempotency_key_of(request)
    asked, body_digest = (
        await read_json_and_digest(request, model) if needs_body or has_body(request) else (model(), "")
    )
    state = await create_again(request, parent_id, asked, make, key=key, body_digest=body_digest)
    return await answer_submission(request, state, request.url.path.replace(parent_id, state.job_id).rpartition("/")[0])


async def create_again(
    request: Request,
    parent_id: JobId,
    asked: AskedType,
    make: Make[AskedType],
    *,
    key: str | None = None,
    body_digest: str = "",
) -> JobState:
    """The job that `make` makes of another, or the one that a request with the same key and content created before."""
    context, actor = context_of(request), actor_of(request)
    digest = sha256(f"{type(asked).__name__} {parent_id} {body_digest}".encode()).hexdigest()
    submitted, refused = None, None
    try:
        parent, before = context.reader.job(parent_id), context.reader.submission(parent_id)
        made = make(context, parent, before, asked)
        submitted = replace(
            _run_as_asked(context, made, asked),
            parent=parent_id,
            idempotency_key=key,
            request_digest=digest,
            traceparent=traceparent_of(request),
        )
    except (Problem, InvalidInputError) as error:
        refused = error

    def create(transaction: Transaction) -> JobState:
        if key is not None and (known := find_same(transaction, key, digest)):
            return known  # whatever became of its origin since
        if submitted is None:
            assert refused is not None
            raise refused
        _require_files(context, submitted)
        return create_job(transaction, submitted, actor)

    return await context.log.write(create)


def _run_as_asked(context: Context, submitted: JobSubmitted, asked: RunRequest) -> JobSubmitted:
    names = ("target", "require_gpu", "prefer_gpu", "priority", "labels", "max_attempts")
    given = {name: value for name in names if (value := getattr(asked, name)) is not None}
    checkpoints = {
        name: submitted.checkpoints[name] if value is None else value
        for name, value in (
            ("every_epochs", asked.checkpoint_every_epochs),
            ("every_seconds", asked.checkpoint_every_seconds),
        )
    }
    changed = replace(submitted, **given, checkpoints=checkpoints, code_version=__version__)
    return replace(changed, share=context.reader.rules().share_of(changed.labels))


def _newest_checkpoint(context: Context, job_id: JobId, submitted: JobSubmitted) -> Json:
    """The one with the most epochs, of the job itself or, if it saved none, the one that it began with."""
    own = [{"epoch": one["epoch"], "digest": one["digest"]} for one in checkpoints_of(context, job_id).values()]
    if own:
        return own[-1]
    if submitted.starts_from is not None and submitted.starts_from != submitted.forked_from:
        return submitted.starts_from
    raise conflict(f"job {job_id} has no checkpoint to go on from", fix="retry it from the start")


def _checkpoint_of_epoch(context: Context, job_id: JobId, epoch: int | None) -> Json:
    available = checkpoints_of(context, job_id)
    if not available:
        raise conflict(
            f"job {job_id} has no checkpoint to fork from",
            fix="train it again with checkpoint_every_epochs: the checkpoints of those epochs are kept",
        )
    chosen = max(available) if epoch is None else epoch
    if chosen not in available:
        raise conflict(
            f"job {job_id} has no checkpoint of epoch {epoch}",
            fix=f"fork from one of these epochs: {', '.join(map(str, available))}"[:500],
        )
    return {"epoch": chosen, "digest": available[chosen]["digest"]}


def _require_files(context: Context, submitted: JobSubmitted) -> None:
    """Within the transaction, because checkpoints that no job in the log starts from may be removed at any time."""
    for origin in (submitted.starts_from, submitted.forked_from):
        if origin is not None and not context.store.checkpoints.path(origin["digest"]).exists():
            raise conflict(f"the checkpoint of epoch {origin['epoch']} that this training begins with is gone")


def _changed_strategy(resolved: Mapping[str, Any], changes: Mapping[str, Any], epoch: int) -> Strategy:
    """The strategy with the changes, if the weights of `epoch` can go on with it. Raises InvalidInputError."""
    mapping = copy.deepcopy(dict(resolved))
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        place = mapping
        for name in path:
            if not isinstance(place.get(name), dict):
                place[name] = {}  # an unknown key, which the grammar reports, or a part that was switched off
            place = place[name]
        place[last] = value
    try:
        # The resolved strategy has no warnings, so each of them is about a change.
        after = from_mapping(mapping, strict=True).strategy
    except InvalidInputError as error:
        raise InvalidInputError(
            [Fault(("changes", *fault.path), fault.problem, fault.fix) for fault in error.faults]
        ) from None
    faults = fork_faults(from_mapping(resolved).strategy, after, epoch)
    if faults:
        raise InvalidInputError([Fault(("changes", *fault.path), fault.problem, fault.fix) for fault in faults])
    return after


def fork_faults(before: Strategy, after: Strategy, epoch: int) -> list[Fault]:
    """Why the weights that `before` had after an epoch cannot go on with `after`."""
    faults = [
        Fault((name,), "a fork goes on with the same data and network, so this cannot change", "train it anew")
        for name, part in _KEPT.items()
        if part(before) != part(after)
    ]
    if after.training.seed is not None:
        faults.append(Fault(("training.seed",), "a job's seed is no part of its strategy", "give it as seed"))
    if after.training.epochs <= epoch:
        problem = f"of {after.training.epochs} epochs none is left after epoch {epoch}"
        faults.append(Fault(("training.epochs",), problem, f"more than {epoch}"))
    return faults


#: What a fork has in common with its parent. (Dropout has no weights.)
_KEPT: dict[str, Callable[[Strategy], object]] = {
    "training_data.symbols": lambda strategy: strategy.data.symbols,
    "training_data.timeframes": lambda strategy: (strategy.data.timeframes, strategy.data.base_timeframe),
    "context_data": lambda strategy: strategy.context,
    "indicators": lambda strategy: strategy.indicators,
    "fuzzy_sets": lambda strategy: strategy.fuzzy_sets,
    "nn_inputs": lambda strategy: strategy.inputs,
    "model": lambda strategy: replace(strategy.model, architecture=replace(strategy.model.architecture, dropout=0.0)),
}
