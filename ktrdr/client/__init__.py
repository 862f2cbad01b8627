"""A client of the API: each operation as a typed call, with safe retries and event streams that survive a restart.

Imports this package's own parts. What it gives has the API's own shapes (`ktrdr.api.views`).

    with ktrdr.client.connect("http://127.0.0.1:8321") as client:
        job = client.submit("trend_follower", seed=7)
        for event in client.events(job["id"], follow=True):
            print(event["type"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote
from uuid import uuid4

from ktrdr.client.stream import follow_events
from ktrdr.client.transport import ApiError, ServiceUnreachableError, Transport

if TYPE_CHECKING:
    from ktrdr.api.audit_diff import JobDifference
    from ktrdr.api.audit_differences import ComparisonView
    from ktrdr.api.audit_proofs import ConsistencyProof, LogKeys
    from ktrdr.api.service_settings import SettingsView
    from ktrdr.api.views import CheckpointView, EventView, JobDetail, JobView
    from ktrdr.api.workers import WorkerView

__all__ = ["ApiError", "Client", "ServiceUnreachableError", "connect"]

_PAGE = 200


def connect(url: str, *, token: str | None = None) -> Client:
    """A client of the service at `url`; close it, or use it as a context manager. See `Client`."""
    return Client(url, token=token)


class Client:
    """Speaks to one service. Belongs to one thread. Every method raises ApiError and ServiceUnreachableError.

    A service that wants a token gets `token`, or else the one in KTRDR_TOKEN.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._transport = Transport(self.url, token)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def submit(
        self,
        strategy: str | Mapping[str, Any],
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
    ) -> JobView:
        """Asks for a training. `strategy` is the text of a file, its content, or the name of a stored or sample one.

        What is None is as the service has it by default. Without an `idempotency_key` one is made up, so that a
        repetition after a lost answer makes no second job.
        """
        body = _given(
            strategy=strategy, symbols=symbols, timeframes=timeframes, start=start, end=end, seed=seed, target=target,
            require_gpu=require_gpu, prefer_gpu=prefer_gpu, priority=priority, labels=labels, max_attempts=max_attempts,
            checkpoint_every_epochs=checkpoint_every_epochs, checkpoint_every_seconds=checkpoint_every_seconds,
            strict=strict,
        )  # fmt: skip
        if checkpoint_every_seconds == "never":
            body["checkpoint_every_seconds"] = None
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        return cast("JobView", self._transport.json("POST", "/jobs", json=body, headers=headers))

    def job(self, job_id: str, *, as_of: str | int | None = None) -> JobDetail:
        """A job as it is, or as it was at a position of the log or a moment."""
        return cast("JobDetail", self._transport.json("GET", _job_path(job_id), params=_given(as_of=as_of)))

    def jobs(
        self,
        *,
        status: Sequence[str] = (),
        strategy: str | None = None,
        symbol: str | None = None,
        label: Sequence[str] = (),
        submitted_from: str | None = None,
        submitted_until: str | None = None,
        as_of: str | int | None = None,
        limit: int | None = None,
    ) -> Iterator[JobView]:
        """The jobs, newest first, read page by page; `label` as `key=value`.

        With `as_of`, a position of the log or a moment, as they were then.
        """
        query = _given(
            status=list(status), strategy=strategy, symbol=symbol, label=list(label),
            submitted_from=submitted_from, submitted_until=submitted_until, as_of=as_of,
        )  # fmt: skip
        return cast("Iterator[JobView]", self._pages_of_jobs("/jobs", query, limit))

    def diff(
        self, first: str | int, last: str | int | None = None, *, limit: int | None = None
    ) -> Iterator[JobDifference]:
        """The jobs that are not the same at two moments (positions of the log or times; the second is now), and how.

        The newest submission first, read page by page.
        """
        query = {"from": first, **_given(to=last)}
        return cast("Iterator[JobDifference]", self._pages_of_jobs("/audit/diff", query, limit))

    def _pages_of_jobs(self, path: str, query: Mapping[str, Any], limit: int | None) -> Iterator[Any]:
        cursor, left = None, limit
        while left is None or left > 0:
            size = min(_PAGE, left or _PAGE)
            page = self._transport.json("GET", path, params={**query, **_given(cursor=cursor), "limit": size})
            yield from page["jobs"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["jobs"])

    def events(
        self,
        job_id: str,
        *,
        after: int = 0,
        follow: bool = False,
        patience_seconds: float = 120.0,
        on_interruption: Callable[[], None] | None = None,
    ) -> Iterator[EventView]:
        """The events of a job after a position; with `follow`, as they happen until the job ends.

        When the service goes away, following goes on without gap or repetition once it is back.
        `on_interruption` is called then, and ServiceUnreachableError is raised after `patience_seconds` in vain.
        """
        path = f"{_job_path(job_id)}/events"
        if follow:
            yield from follow_events(self._transport, path, after, patience_seconds, on_interruption)
            return
        while True:
            page = self._transport.json("GET", path, params={"after": after, "limit": _PAGE})
            yield from page["events"]
            after = page["last_position"]
            if len(page["events"]) < _PAGE:
                return

    def cancel(self, job_id: str, *, reason: str = "") -> JobView:
        """Asks a job to stop. Its `status` says whether it has; asking twice is no error."""
        # Not repeated by itself: if the first request ended the job, a second one would be told that it has ended.
        path = f"{_job_path(job_id)}/cancel"
        return cast("JobView", self._transport.json("POST", path, json={"reason": reason}, repeatable=False))

    def retry(
        self, job_id: str, *, from_checkpoint: bool = False, idempotency_key: str | None = None, **run: Any
    ) -> JobView:
        """Submits a job that has ended once more: from the start, or from its newest checkpoint.

        `run` says what shall differ in how it runs: `target`, `priority`, `labels`, `max_attempts` and so on. Without
        an `idempotency_key` one is made up, so that a repetition after a lost answer makes no second job.
        """
        return self._submit_again("retry", job_id, {"from_checkpoint": from_checkpoint, **run}, idempotency_key)

    def fork(
        self,
        job_id: str,
        *,
        epoch: int | None = None,
        changes: Mapping[str, Any] | None = None,
        seed: int | None = None,
        idempotency_key: str | None = None,
        **run: Any,
    ) -> JobView:
        """Submits a job that goes on from the checkpoint of an epoch (the newest without one) of another, with changes.

        `changes` are dotted keys of the other job's strategy with their new values; the rest is as in `retry`.
        """
        body = _given(epoch=epoch, changes=changes, seed=seed, **run)
        return self._submit_again("fork", job_id, body, idempotency_key)

    def _submit_again(self, how: str, job_id: str, body: Mapping[str, Any], idempotency_key: str | None) -> JobView:
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        path = f"{_job_path(job_id)}/{how}"
        return cast("JobView", self._transport.json("POST", path, json=body, headers=headers))

    def why_differ(self, a: str, b: str) -> ComparisonView:
        """Why the result of job `b` is not that of job `a`: causes, the first epoch that differs, metrics."""
        return cast("ComparisonView", self._transport.json("GET", "/audit/why-differ", params={"a": a, "b": b}))

    def counterfactual(
        self, job_id: str, *, of: str, cause: str, idempotency_key: str | None = None, **run: Any
    ) -> JobView:
        """Submits a job once more with the value that job `of` has of one cause (a path that `why_differ` gives).

        The rest is as in `retry`.
        """
        return self._submit_again("counterfactual", job_id, {"of": of, "cause": cause, **run}, idempotency_key)

    def checkpoints(self, job_id: str) -> list[CheckpointView]:
        """The checkpoints of a job that are still there, by epoch: what it can be forked from."""
        answer = self._transport.json("GET", f"{_job_path(job_id)}/checkpoints")
        return cast("list[CheckpointView]", answer["checkpoints"])

    def model(self, job_id: str, path: Path) -> Path:
        """Downloads the model of a completed job as a zip file to `path`, which appears whole or not at all."""
        return _write_whole(path, self._transport.send("GET", f"{_job_path(job_id)}/model").content)

    def bundle(self, job_id: str, path: Path) -> Path:
        """Downloads a job as a zip file that verifies offline to `path`, which appears whole or not at all."""
        return _write_whole(path, self._transport.send("GET", f"{_job_path(job_id)}/bundle").content)

    def provenance(self, job_id: str) -> dict[str, Any]:
        """The signed statement where the model of a completed job comes from: a DSSE envelope."""
        return self._transport.json("GET", f"{_job_path(job_id)}/provenance")

    def predict(
        self,
        job_id: str,
        *,
        symbol: str | None = None,
        bars: Sequence[Mapping[str, Any]] | None = None,
        last: int = 1,
    ) -> list[dict[str, Any]]:
        """What the model of a completed job says of the newest bars: stored ones of `symbol`, or the given ones."""
        body = _given(symbol=symbol, bars=bars, last=last)
        answer = self._transport.json("POST", f"{_job_path(job_id)}/predict", json=body)
        return cast("list[dict[str, Any]]", answer["predictions"])

    def explain(self, job_id: str, *, symbol: str, at: str | None = None, last: int | None = None) -> dict[str, Any]:
        """Why the model of a completed job says what it says: of one `bar` of a symbol, and as a `model` over many."""
        body = _given(symbol=symbol, at=at, last=last)
        return self._transport.json("POST", f"{_job_path(job_id)}/explain", json=body)

    def report(self, job_id: str) -> dict[str, Any]:
        """What the model of a completed job is worth, with everything that its report shows."""
        return self._transport.json("GET", f"{_job_path(job_id)}/report", headers={"Accept": "application/json"})

    def report_page(self, job_id: str, path: Path) -> Path:
        """Writes the report as one HTML file to `path`, which appears whole or not at all."""
        answer = self._transport.send("GET", f"{_job_path(job_id)}/report", headers={"Accept": "text/html"})
        return _write_whole(path, answer.content)

    def validate(self, strategy: str | Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
        """Everything that is wrong with a strategy file (`valid`, `errors`, `warnings`), and what it means."""
        return self._transport.json("POST", "/strategies", json={"strategy": strategy, "strict": strict})

    def strategies(self) -> dict[str, list[str]]:
        """The names of `stored` strategies and of the `samples` that come with ktrdr."""
        return self._transport.json("GET", "/strategies")

    def strategy(self, name: str) -> str:
        """A stored or sample strategy as it was written."""
        return self._transport.send("GET", f"/strategies/{quote(name, safe='')}").text

    def put_strategy(self, name: str, source: str) -> dict[str, Any]:
        """Keeps a strategy file under its name."""
        return self._transport.json("PUT", f"/strategies/{quote(name, safe='')}", json={"source": source})

    def datasets(self) -> list[dict[str, Any]]:
        """Every symbol and timeframe with prices, and every context series."""
        return cast("list[dict[str, Any]]", self._transport.json("GET", "/datasets")["datasets"])

    def import_prices(
        self,
        data: bytes,
        *,
        filename: str,
        symbol: str | None = None,
        timeframe: str | None = None,
        timezone: str | None = None,
        date_format: str | None = None,
        adjust: bool = False,
    ) -> dict[str, Any]:
        """Imports the content of a price file, all of it or nothing: the new `datasets`, and `notes` for people."""
        query = _given(
            filename=filename, symbol=symbol, timeframe=timeframe, timezone=timezone, date_format=date_format,
            adjust=adjust,
        )  # fmt: skip
        return self._transport.json("PUT", "/datasets", params=query, content=data)

    def import_series(
        self,
        data: bytes,
        *,
        filename: str,
        series: str,
        frequency: str,
        column: str | None = None,
        timezone: str | None = None,
        date_format: str | None = None,
    ) -> dict[str, Any]:
        """Imports the content of a file of values as the context series `series`; answers as `import_prices` does."""
        query = _given(
            filename=filename, series=series, frequency=frequency, column=column, timezone=timezone,
            date_format=date_format,
        )  # fmt: skip
        return self._transport.json("PUT", "/datasets", params=query, content=data)

    def sign(self) -> str:
        """Signs the log as it is now; the checkpoint as a signed note."""
        return self._transport.send("POST", "/audit/checkpoints").text

    def log_keys(self) -> LogKeys:
        """Every key that the log was signed by, and the checkpoints that lead from one to the next."""
        return cast("LogKeys", self._transport.json("GET", "/audit/keys"))

    def job_proof(self, job_id: str) -> str:
        """A proof of the newest event of a job, which verifies alone (C2SP tlog-proof)."""
        return self._transport.send("GET", f"{_job_path(job_id)}/proof").text

    def consistency(self, old: int, new: int) -> ConsistencyProof:
        """That the log of `new` events begins with the one of `old` events."""
        answer = self._transport.json("GET", "/audit/consistency", params={"from": old, "to": new})
        return cast("ConsistencyProof", answer)

    def workers(self) -> list[WorkerView]:
        """Every worker: alive or lately gone, on which device, busy with what."""
        return cast("list[WorkerView]", self._transport.json("GET", "/workers")["workers"])

    def settings(self) -> SettingsView:
        """What is set while the service runs, by whom and since when."""
        return cast("SettingsView", self._transport.json("GET", "/settings"))

    def change_settings(self, changes: Mapping[str, Any]) -> SettingsView:
        """Sets what is named (`default_target`, `fair_by`, `caps`); None goes back to the default."""
        return cast("SettingsView", self._transport.json("PATCH", "/settings", json=dict(changes)))

    def ready(self) -> dict[str, Any]:
        """Whether the service can do its work: `status` is `ok` or `unavailable`, and `checks` say why."""
        return self._transport.ready()


def _write_whole(path: Path, content: bytes) -> Path:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    return partial.replace(path)


def _job_path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def _given(**values: Any) -> dict[str, Any]:
    """What the caller has said; the service knows the defaults of the rest."""
    return {name: value for name, value in values.items() if value is not None}
