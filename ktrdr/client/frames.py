"""The history of jobs as pandas frames. Imports the operations; pandas when a frame is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ktrdr.client.calls import Steps, all_of
from ktrdr.client.errors import MissingLibraryError
from ktrdr.client.operations import jobs

if TYPE_CHECKING:
    import pandas as pd

    from ktrdr.api.views import EventView, JobView

_EPOCH_COLUMNS = (
    "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate", "seconds",
)  # fmt: skip
_MOMENTS = ("submitted_at", "started_at", "finished_at", "updated_at")
_PLAIN = (
    "status", "name", "target", "priority", "seed", "worker", "attempt", "version", "position", "parent", "relation",
)  # fmt: skip


def jobs_frame(
    *,
    status: Sequence[str] = (),
    strategy: str | None = None,
    symbol: str | None = None,
    label: Sequence[str] = (),
    submitted_from: str | None = None,
    submitted_until: str | None = None,
    as_of: str | int | None = None,
    limit: int | None = None,
) -> Steps[pd.DataFrame]:
    """The jobs as a pandas frame, newest first, indexed by `id`; chosen as by `jobs`.

    Every column is flat: moments in UTC, `symbols` and `timeframes` with commas, `label.KEY`, what ended a job as
    `failure_kind`, and each figure of its metrics as `metrics.NAME`. Raises MissingLibraryError without pandas.
    """
    pandas = _pandas("the list of jobs as a frame")
    found = yield from all_of(
        jobs.jobs(
            status=status, strategy=strategy, symbol=symbol, label=label, submitted_from=submitted_from,
            submitted_until=submitted_until, as_of=as_of, limit=limit,
        )
    )  # fmt: skip
    frame: pd.DataFrame = pandas.DataFrame(
        [_row(job) for job in found], columns=None if found else ["id", *_PLAIN, *_MOMENTS]
    )
    for moment in _MOMENTS:
        frame[moment] = pandas.to_datetime(frame[moment], utc=True)
    return frame.set_index("id")


def history(job_id: str) -> Steps[pd.DataFrame]:
    """The epochs of a job as a pandas frame (`Job.history`)."""
    pandas = _pandas("the history of a job as a frame")
    events = yield from all_of(jobs.events(job_id))
    epochs = _epochs(events)
    frame: pd.DataFrame = pandas.DataFrame.from_dict(epochs, orient="index", columns=[*_EPOCH_COLUMNS, "recorded_at"])
    frame.index = pandas.Index(frame.index, dtype="int64", name="epoch")
    frame["recorded_at"] = pandas.to_datetime(frame["recorded_at"], utc=True)
    return frame.astype(dict.fromkeys(_EPOCH_COLUMNS, "float64"))


def _epochs(events: Iterable[EventView]) -> dict[int, list[Any]]:
    """The figures of each epoch; an attempt that trains an epoch again makes those from there on untrue."""
    epochs: dict[int, list[Any]] = {}
    for event in events:
        data = event["data"]
        if event["type"] == "EpochFinished" and data is not None:
            for later in [epoch for epoch in epochs if epoch > data["epoch"]]:
                del epochs[later]
            epochs[data["epoch"]] = [*(data[name] for name in _EPOCH_COLUMNS), event["recorded_at"]]
    return epochs


def _row(job: JobView) -> dict[str, Any]:
    progress, failure, result = job["progress"], job["failure"], job["result"]
    row: dict[str, Any] = {"id": job["id"]}
    row |= {name: job[name] for name in (*_PLAIN, *_MOMENTS)}  # type: ignore[literal-required]
    row |= {"symbols": ",".join(job["symbols"]), "timeframes": ",".join(job["timeframes"])}
    row |= {f"label.{key}": value for key, value in job["labels"].items()}
    row |= {name: progress[name] for name in ("epoch", "epochs", "train_loss", "validation_loss")}
    row["failure_kind"] = failure["kind"] if failure else None
    if result:
        row |= {name: result[name] for name in ("model_digest", "epochs_trained", "best_epoch")}
        row |= _flat("metrics", result["metrics"] or {})
    return row


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested figures under dotted names; what is no figure is left out."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(f"{prefix}.{name}", value)
        elif value is None or isinstance(value, int | float | str):
            flat[f"{prefix}.{name}"] = value
    return flat


def _pandas(what: str) -> ModuleType:
    try:
        import pandas
    except ModuleNotFoundError:
        raise MissingLibraryError("pandas", what) from None
    return pandas
