"""A job to go on with: followed, cancelled, repeated, and asked for its result. Imports the client's own parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from ktrdr.client.calls import Call, Following, Pages, Plan, Steps, answer_of, path
from ktrdr.client.errors import JobCancelledError, JobFailedError
from ktrdr.client.frames import history
from ktrdr.client.methods import Asynchronous, Blocking, iterating_method, method, starting_method
from ktrdr.client.operations import jobs, models
from ktrdr.client.operations.jobs import HowToRun
from ktrdr.client.typed_events import Happened, typed
from ktrdr.jobs.codec import TERMINAL_TYPES

if TYPE_CHECKING:
    import pandas as pd

    from ktrdr.api.views import CheckpointView, EventView, JobDetail, JobView, Result
    from ktrdr.client.colours import AsyncClient, Client

T = TypeVar("T")
_FINAL = ("completed", "failed", "cancelled")


class JobMethods:
    """What can be done with a job. `view` is the job as it was last seen, `id` its id."""

    def __init__(self, view: JobView) -> None:
        self.view = view
        self.id = view["id"]

    def __repr__(self) -> str:
        what = f"{self.view['name']} over {', '.join(self.view['symbols'])}"
        return f"<{type(self).__name__} {self.id} {self.status}: {what}>"

    @property
    def status(self) -> str:
        """As it was last seen: queued, running, cancelling, completed, failed or cancelled. `refresh` looks again."""
        return self.view["status"]

    @property
    def metrics(self) -> Mapping[str, Any] | None:
        """What the model reached on the test data, once the job was seen completed (`wait`, `result`, `refresh`)."""
        return self.view["result"]["metrics"] if self.view["result"] else None

    @method
    def refresh(self) -> Steps[JobDetail]:
        """The job as it is now."""
        view = yield from answer_of(jobs.job(self.id))
        self.view = view
        return view

    @iterating_method
    def follow(
        self,
        *,
        after: int = 0,
        show: bool = False,
        patience_seconds: float = 120.0,
        on_interruption: Callable[[], None] | None = None,
    ) -> Following[Happened]:
        """The job's events after a position as they happen, until it ends, whatever becomes of the connection.

        With `show`, its progress is shown in the terminal or notebook too. `on_interruption` is called when the service
        goes away, and ServiceUnreachableError is raised after `patience_seconds` in vain.
        """
        from ktrdr.client.showing import shown_progress

        return _followed(
            self.id, typed, after=after, patience_seconds=patience_seconds, on_interruption=on_interruption,
            show=(lambda: shown_progress(self.view)) if show else None,
        )  # fmt: skip

    @iterating_method
    def events(self, *, after: int = 0) -> Pages[Happened]:
        """The job's events up to now, after a position."""
        return jobs.pages_of_events(path("jobs", self.id, "events"), typed, after)

    @method
    def wait(self, timeout: float | None = None) -> Steps[JobDetail]:
        """The job once it has ended, however that was. Raises TimeoutError after `timeout` seconds; the job goes on."""
        if self.status not in _FINAL:
            to_the_end = _followed(self.id, _nothing, after=self.view["position"], timeout=timeout)
            yield to_the_end
        return (yield from _refreshed(self))

    @method
    def result(self, timeout: float | None = None) -> Steps[Result]:
        """What came of it, once it has ended: digests, metrics, epochs.

        Raises JobFailedError and JobCancelledError, and TimeoutError after `timeout` seconds.
        """
        if self.status not in _FINAL:
            yield _followed(self.id, _nothing, after=self.view["position"], timeout=timeout)
        job = yield from _refreshed(self)
        if job["result"] is None:
            raise JobCancelledError(job) if job["status"] == "cancelled" else JobFailedError(job)
        return job["result"]

    @method
    def history(self) -> Steps[pd.DataFrame]:
        """One row for each epoch, as a pandas frame indexed by `epoch`; of epochs trained again, the last time counts.

        Columns: train_loss, validation_loss, train_accuracy, validation_accuracy (shares), learning_rate, seconds, and
        recorded_at (UTC). Raises MissingLibraryError without pandas.
        """
        return history(self.id)

    @method
    def cancel(self, *, reason: str = "") -> Steps[JobView]:
        """Asks the job to stop. `status` says whether it has; asking twice is no error."""
        self.view = yield from answer_of(jobs.cancel(self.id, reason=reason))
        return self.view

    @starting_method
    def retry(
        self, *, from_checkpoint: bool = False, idempotency_key: str | None = None, **run: Unpack[HowToRun]
    ) -> Call[JobView]:
        """Submits the job, which has ended, once more: from the start, or from its newest checkpoint."""
        return jobs.retry(self.id, from_checkpoint=from_checkpoint, idempotency_key=idempotency_key, **run)

    @starting_method
    def fork(
        self,
        *,
        epoch: int | None = None,
        changes: Mapping[str, Any] | None = None,
        seed: int | None = None,
        idempotency_key: str | None = None,
        **run: Unpack[HowToRun],
    ) -> Call[JobView]:
        """Submits a job that goes on from an epoch's checkpoint of this one (the newest without `epoch`), with changes.

        `changes` are dotted keys of this job's strategy with their new values.
        """
        return jobs.fork(
            self.id, epoch=epoch, changes=changes, seed=seed, idempotency_key=idempotency_key, **run
        )  # fmt: skip

    @method
    def checkpoints(self) -> Call[list[CheckpointView]]:
        """The checkpoints that are still there, by epoch: what can be forked from."""
        return jobs.checkpoints(self.id)

    @method
    def model(self, file: Path | str) -> Steps[Path]:
        """Downloads the model as a zip file to `file`, which appears whole or not at all."""
        return models.model(self.id, file)

    @method
    def predict(
        self, *, symbol: str | None = None, bars: Sequence[Mapping[str, Any]] | None = None, last: int = 1
    ) -> Call[list[dict[str, Any]]]:
        """What the model says of the newest bars: stored ones of `symbol`, or the given ones."""
        return models.predict(self.id, symbol=symbol, bars=bars, last=last)

    @method
    def explain(self, *, symbol: str, at: str | None = None, last: int | None = None) -> Call[dict[str, Any]]:
        """Why the model says what it says: of one `bar` of a symbol, and as a `model` over many."""
        return models.explain(self.id, symbol=symbol, at=at, last=last)

    @method
    def report(self) -> Call[dict[str, Any]]:
        """What the model is worth, with everything that its report shows."""
        return models.report(self.id)


class Job(JobMethods, Blocking):
    """A job of a `Client`."""

    def __init__(self, client: Client, view: JobView) -> None:
        super().__init__(view)
        self._client = client

    def _perform(self, plan: Plan[T]) -> T:
        return self._client._perform(plan)

    def _iterate(self, items: Pages[T] | Following[T]) -> Iterator[T]:
        return self._client._iterate(items)

    def _handle(self, plan: Plan[JobView]) -> Job:
        return self._client._handle(plan)


class AsyncJob(JobMethods, Asynchronous):
    """A job of an `AsyncClient`: its methods are awaited, `follow` and `events` iterated over with `async for`."""

    def __init__(self, client: AsyncClient, view: JobView) -> None:
        super().__init__(view)
        self._client = client

    async def _perform(self, plan: Plan[T]) -> T:
        return await self._client._perform(plan)

    def _iterate(self, items: Pages[T] | Following[T]) -> AsyncIterator[T]:
        return self._client._iterate(items)

    async def _handle(self, plan: Plan[JobView]) -> AsyncJob:
        return await self._client._handle(plan)


def _refreshed(job: JobMethods) -> Steps[JobDetail]:
    view = yield from answer_of(jobs.job(job.id))
    job.view = view
    return view


def _followed(job_id: str, read: Callable[[EventView], T], **options: Any) -> Following[T]:
    return Following(path=path("jobs", job_id, "events"), read=read, ends=TERMINAL_TYPES, **options)


def _nothing(_: EventView) -> None:
    return None
