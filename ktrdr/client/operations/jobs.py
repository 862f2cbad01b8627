"""Jobs: submitting, looking at, following and ending them. Imports the client's own parts.

What these give has the API's own shapes (`ktrdr.api.views`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, cast

from ktrdr.client.calls import Call, Following, Page, Pages, as_json, given, once, part, path
from ktrdr.jobs.codec import TERMINAL_TYPES

if TYPE_CHECKING:
    import httpx2

    from ktrdr.api.audit_differences import ComparisonView
    from ktrdr.api.views import CheckpointView, EventView, JobDetail, JobView

T = TypeVar("T")
PAGE_SIZE = 200
_FILE_ENDINGS = (".yaml", ".yml", ".json")


class HowToRun(TypedDict, total=False):
    """What may differ in how a job runs that is made of another one; a target of None is that of the other one."""

    target: str | None
    require_gpu: bool
    prefer_gpu: bool
    priority: int
    labels: Mapping[str, str]
    max_attempts: int
    checkpoint_every_epochs: int | None
    checkpoint_every_seconds: float | None


def submit(
    strategy: str | Path | Mapping[str, Any],
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    seed: int | None = None,
    target: str | None = None,
    require_gpu: bool = False,
    prefer_gpu: bool = False,
    priority: int | None = None,
    labels: Mapping[str, str] | None = None,
    max_attempts: int | None = None,
    checkpoint_every_epochs: int | None = None,
    checkpoint_every_seconds: float | Literal["never"] | None = None,
    strict: bool = False,
    idempotency_key: str | None = None,
) -> Call[JobView]:
    """Asks for a training.

    `strategy` is a file (a Path, or text that ends in .yaml, .yml or .json), the text or content of one, or the name of
    a stored or sample strategy. What is None is as the service has it by default. Without an `idempotency_key` one is
    made up, so that a repetition after a lost answer makes no second job.
    """
    body = given(
        strategy=strategy_source(strategy), symbols=symbols, timeframes=timeframes, start=start, end=end, seed=seed,
        target=target, require_gpu=require_gpu, prefer_gpu=prefer_gpu, priority=priority, labels=labels,
        max_attempts=max_attempts, checkpoint_every_epochs=checkpoint_every_epochs,
        checkpoint_every_seconds=checkpoint_every_seconds, strict=strict,
    )  # fmt: skip
    if checkpoint_every_seconds == "never":
        body["checkpoint_every_seconds"] = None
    return Call(method="POST", path=path("jobs"), json=body, headers=once(idempotency_key), read=as_json)


def job(job_id: str, *, as_of: str | int | None = None) -> Call[JobDetail]:
    """A job as it is, or as it was at a position of the log or a moment."""
    return Call(method="GET", path=path("jobs", job_id), params=given(as_of=as_of), read=as_json)


def jobs(
    *,
    status: Sequence[str] = (),
    strategy: str | None = None,
    symbol: str | None = None,
    label: Sequence[str] = (),
    submitted_from: str | None = None,
    submitted_until: str | None = None,
    as_of: str | int | None = None,
    limit: int | None = None,
) -> Pages[JobView]:
    """The jobs, newest first, read page by page; `label` as `key=value`.

    With `as_of`, a position of the log or a moment, as they were then.
    """
    query = given(
        status=list(status), strategy=strategy, symbol=symbol, label=list(label),
        submitted_from=submitted_from, submitted_until=submitted_until, as_of=as_of,
    )  # fmt: skip
    return cast("Pages[JobView]", pages_of_jobs(path("jobs"), query, limit))


def pages_of_jobs(where: str, query: Mapping[str, Any], limit: int | None) -> Pages[Any]:
    """The members of `jobs` of every answer, as far as `limit`; each answer says by a cursor how to go on."""

    def call(cursor: str | None, left: int | None) -> Call[Page[Any]]:
        size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)

        def read(answer: httpx2.Response) -> Page[Any]:
            document = answer.json()
            after = None if left is None else left - len(document["jobs"])
            goes_on = document["next_cursor"] is not None and after != 0
            return Page(document["jobs"], call(document["next_cursor"], after) if goes_on else None)

        return Call(method="GET", path=where, params={**query, **given(cursor=cursor), "limit": size}, read=read)

    return Pages(call(None, limit))


def events(
    job_id: str,
    *,
    after: int = 0,
    follow: bool = False,
    patience_seconds: float = 120.0,
    on_interruption: Callable[[], None] | None = None,
) -> Pages[EventView] | Following[EventView]:
    """The events of a job after a position; with `follow`, as they happen until the job ends.

    When the service goes away, following goes on without gap or repetition once it is back.
    `on_interruption` is called then, and ServiceUnreachableError is raised after `patience_seconds` in vain.
    """
    if not follow:
        return pages_of_events(path("jobs", job_id, "events"), as_it_is, after)
    return Following(
        path=path("jobs", job_id, "events"), read=as_it_is, after=after, ends=TERMINAL_TYPES,
        patience_seconds=patience_seconds, on_interruption=on_interruption,
    )  # fmt: skip


def all_events(
    *,
    after: int = 0,
    follow: bool = False,
    patience_seconds: float = 120.0,
    on_interruption: Callable[[], None] | None = None,
) -> Pages[EventView] | Following[EventView]:
    """The events of every job, in the order of the log, after a position; with `follow`, without end. See `events`."""
    if not follow:
        return pages_of_events(path("events"), as_it_is, after)
    return Following(
        path=path("events"), read=as_it_is, after=after, patience_seconds=patience_seconds,
        on_interruption=on_interruption,
    )  # fmt: skip


def pages_of_events(where: str, read_event: Callable[[EventView], T], after: int) -> Pages[T]:
    """Events after a position, each as `read_event` gives it."""

    def call(after: int) -> Call[Page[T]]:
        def read(answer: httpx2.Response) -> Page[T]:
            document = answer.json()
            is_last = len(document["events"]) < PAGE_SIZE
            events = [read_event(event) for event in document["events"]]
            return Page(events, None if is_last else call(document["last_position"]))

        return Call(method="GET", path=where, params={"after": after, "limit": PAGE_SIZE}, read=read)

    return Pages(call(after))


def cancel(job_id: str, *, reason: str = "") -> Call[JobView]:
    """Asks a job to stop. Its `status` says whether it has; asking twice is no error."""
    # Not repeated by itself: if the first request ended the job, a second one would be told that it has ended.
    where = path("jobs", job_id, "cancel")
    return Call(method="POST", path=where, json={"reason": reason}, repeatable=False, read=as_json)


def retry(
    job_id: str, *, from_checkpoint: bool = False, idempotency_key: str | None = None, **run: Unpack[HowToRun]
) -> Call[JobView]:
    """Submits a job that has ended once more: from the start, or from its newest checkpoint.

    `run` says what shall differ in how it runs: `target`, `priority`, `labels`, `max_attempts` and so on. Without
    an `idempotency_key` one is made up, so that a repetition after a lost answer makes no second job.
    """
    return _submit_again("retry", job_id, {"from_checkpoint": from_checkpoint, **run}, idempotency_key)


def fork(
    job_id: str,
    *,
    epoch: int | None = None,
    changes: Mapping[str, Any] | None = None,
    seed: int | None = None,
    idempotency_key: str | None = None,
    **run: Unpack[HowToRun],
) -> Call[JobView]:
    """Submits a job that goes on from the checkpoint of an epoch (the newest without one) of another, with changes.

    `changes` are dotted keys of the other job's strategy with their new values; the rest is as in `retry`.
    """
    body = {**given(epoch=epoch, changes=changes, seed=seed), **run}
    return _submit_again("fork", job_id, body, idempotency_key)


def counterfactual(
    job_id: str, *, of: str, cause: str, idempotency_key: str | None = None, **run: Unpack[HowToRun]
) -> Call[JobView]:
    """Submits a job once more with the value that job `of` has of one cause (a path that `why_differ` gives).

    The rest is as in `retry`.
    """
    return _submit_again("counterfactual", job_id, {"of": of, "cause": cause, **run}, idempotency_key)


def _submit_again(how: str, job_id: str, body: Mapping[str, Any], idempotency_key: str | None) -> Call[JobView]:
    where, said = (
        path("jobs", job_id, how),
        {key: value for key, value in body.items() if (key, value) != ("target", None)},
    )
    return Call(method="POST", path=where, json=said, headers=once(idempotency_key), read=as_json)


def why_differ(a: str, b: str) -> Call[ComparisonView]:
    """Why the result of job `b` is not that of job `a`: causes, the first epoch that differs, metrics."""
    return Call(method="GET", path=path("audit", "why-differ"), params={"a": a, "b": b}, read=as_json)


def checkpoints(job_id: str) -> Call[list[CheckpointView]]:
    """The checkpoints of a job that are still there, by epoch: what it can be forked from."""
    return Call(method="GET", path=path("jobs", job_id, "checkpoints"), read=part("checkpoints"))


def strategy_source(strategy: str | Path | Mapping[str, Any]) -> str | Mapping[str, Any]:
    """A strategy as the service takes it: the text of a file, and anything else as it is. Raises OSError."""
    if isinstance(strategy, str) and strategy.endswith(_FILE_ENDINGS) and "\n" not in strategy:
        strategy = Path(strategy)
    return strategy.read_text("utf-8") if isinstance(strategy, Path) else strategy


def as_it_is(event: EventView) -> EventView:
    return event
