"""The smaller answers of the API as typed plain data, from which the OpenAPI document is made. Imports nothing."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11


class StrategyNames(TypedDict):
    """The strategies that can be submitted by name."""

    #: Kept with `PUT /strategies/NAME`.
    stored: list[str]
    #: They come with ktrdr.
    samples: list[str]


class PlacedFault(TypedDict):
    """A fault or warning of a strategy file."""

    #: Dotted: `training.epochs`; empty where it is about the whole file.
    path: str
    #: From 1; None where it is about the whole file, or this came as an object.
    line: int | None
    column: int | None
    detail: str
    #: What would be right; may be empty.
    fix: str


class StrategyVerdict(TypedDict):
    """Whether a strategy file can be trained, and what it means."""

    valid: bool
    errors: list[PlacedFault]
    warnings: list[PlacedFault]
    #: With every default filled in.
    strategy: NotRequired[dict[str, Any]]
    #: The columns that the network sees, in order.
    features: NotRequired[list[str]]
    #: Bars of the base timeframe before the first row.
    warm_up_bars: NotRequired[int]
    #: Weights of the network.
    parameters: NotRequired[int]


class StoredStrategy(TypedDict):
    """A strategy that was kept, and what it means."""

    name: str
    warnings: list[PlacedFault]
    #: With every default filled in.
    strategy: dict[str, Any]
    #: The columns that the network sees, in order.
    features: list[str]
    #: Bars of the base timeframe before the first row.
    warm_up_bars: int
    #: Weights of the network.
    parameters: int


class DatasetView(TypedDict):
    """What a symbol and timeframe, or a context series, mean today."""

    #: prices or values.
    kind: str
    #: Of values: the name of the series.
    symbol: str
    #: Of values: their frequency.
    timeframe: str
    #: SHA-256 of the stored bytes.
    digest: str
    rows: int
    first: str
    last: str
    imported_at: str


class DatasetList(TypedDict):
    """Everything that was imported."""

    datasets: list[DatasetView]


class ImportedDatasets(TypedDict):
    """What an import brought."""

    datasets: list[DatasetView]
    #: What was understood on the way, for people.
    notes: list[str]


class ClaimedJob(TypedDict):
    """Everything that a worker needs of the job that it was given."""

    job_id: str
    #: Names the lease, with the job.
    lease_epoch: int
    #: Renew it well within this time.
    lease_seconds: float
    #: The fields of JobSubmitted.
    submitted: dict[str, Any]
    #: The newest checkpoints of the job, newest first: `{epoch, digest}`.
    checkpoints: list[dict[str, Any]]


class RegainedLease(TypedDict):
    """The lease under which an attempt goes on."""

    lease_epoch: int
    lease_seconds: float


class CancellationNotice(TypedDict):
    """That a running job shall stop."""

    #: Version, within the job, of the request.
    request_version: int
    #: Seconds since it was recorded.
    age_seconds: float


class UploadState(TypedDict):
    """How much of a file is here."""

    #: Bytes; the next part begins there.
    offset: int
    #: Whether all of it is, with the right digest.
    complete: bool


class Predictions(TypedDict):
    """What a model says of the newest bars."""

    job_id: str
    #: None for bars that came with the request.
    symbol: str | None
    #: One for each bar, oldest first: its time, the probability of each class, the decision.
    predictions: list[dict[str, Any]]


class Explanation(TypedDict):
    """Why a model says what it says."""

    job_id: str
    symbol: str
    #: Of one bar: what fired, what each input contributed, the strongest rules.
    bar: dict[str, Any]
    #: Over many bars: how the model uses its inputs.
    model: dict[str, Any]


class Health(TypedDict):
    """The process answers."""

    status: str
    version: str


class Readiness(TypedDict):
    """Whether jobs can be accepted; only the status for those who may not read."""

    #: ok or unavailable.
    status: str
    #: `ok`, or what was found, of disk, service and database.
    checks: NotRequired[dict[str, str]]
    #: Of the newest event.
    position: NotRequired[int]
    #: How many jobs there are in each status.
    jobs: NotRequired[dict[str, int]]
