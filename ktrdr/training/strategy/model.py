"""The resolved strategy: every key of a version 3 file with its default filled in, as immutable values.

Built only by `ktrdr.training.strategy.parse`; `to_mapping` writes it back as plain data, and parsing that mapping
again gives an equal value, so a resolved strategy can travel inside an event. Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Scalar = int | float | str | bool

Shape = Literal["triangular", "trapezoidal", "gaussian", "sigmoid", "bell"]
Normalization = Literal["none", "minmax", "zscore", "robust"]
Activation = Literal["relu", "tanh", "sigmoid", "leaky_relu", "gelu", "silu"]
LossName = Literal["cross_entropy", "focal", "huber", "mse"]
OutputFormat = Literal["classification", "regression"]
ContextKind = Literal["series", "symbol", "report"]

#: Timeframes from the shortest to the longest.
TIMEFRAMES = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w", "1M")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    base_timeframe: str
    #: Inclusive, aware, UTC; None = no limit.
    start: datetime | None
    end: datetime | None
    #: Bars before `start` that warm the indicators up and never become samples.
    history_required: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSeries:
    """One entry of `context_data`: a series from elsewhere that indicators may be computed on."""

    #: What the file calls it under `series`, `symbol` or `report`; indicators refer to it by this name.
    name: str
    kind: ContextKind
    provider: str
    #: How far one value reaches, one of `TIMEFRAMES` or 1Q.
    frequency: str
    #: How long after the end of its period a value becomes known.
    publication_lag: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    id: str
    #: The canonical type, a key of `ktrdr.training.indicators.REGISTRY`.
    type: str
    #: Every parameter of the type under its canonical name, defaults included.
    params: Mapping[str, Scalar]
    #: The context series that it is computed on; None = the symbol's own prices.
    data_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    name: str
    shape: Shape
    #: triangular [a, b, c]; trapezoidal [a, b, c, d]; gaussian [mu, sigma]; sigmoid [centre, slope];
    #: bell [width, slope, centre].
    parameters: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzySet:
    id: str
    #: The column it reads: `<indicator id>` or `<indicator id>.<output>`.
    indicator: str
    memberships: tuple[Membership, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One entry of `nn_inputs`: exactly one of `fuzzy_set` and `raw_indicator` is set."""

    fuzzy_set: str | None
    raw_indicator: str | None
    timeframes: tuple[str, ...]
    #: Raw inputs only; fitted on the train part.
    normalization: Normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlp:
    hidden_layers: tuple[int, ...]
    dropout: float
    activation: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """An LSTM or a GRU over the last `sequence_length` rows."""

    sequence_length: int
    hidden_size: int
    num_layers: int
    dropout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFeatures:
    """What is added to the inputs, or done to them."""

    #: Each feature's value at so many previous rows is a feature too.
    lookback_periods: int = 0
    #: Adds return, range and volume ratio of each timeframe.
    include_price_context: bool = False
    #: Standardises every column that is no membership and has no normalisation of its own.
    scale_features: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    type: Literal["mlp", "lstm", "gru"]
    architecture: Mlp | Recurrent
    features: ModelFeatures = ModelFeatures()


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    type: Literal["adam", "adamw", "sgd", "rmsprop"]
    learning_rate: float
    weight_decay: float
    #: sgd and rmsprop only; 0.9 by default for sgd, 0 for rmsprop.
    momentum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """A learning-rate schedule, stepped once per epoch. Only the fields of its type are set."""

    type: Literal["step", "exponential", "cosine", "reduce_on_plateau"]
    #: step: epochs between two steps.
    step_size: int | None = None
    #: step, exponential: the factor applied.
    gamma: float | None = None
    #: reduce_on_plateau: the factor applied, and the epochs without improvement before it is.
    factor: float | None = None
    patience: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    patience: int
    min_delta: float
    monitor: Literal["val_loss", "val_accuracy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    type: LossName
    #: focal only.
    focal_gamma: float | None = None
    #: huber only, in units of the label.
    huber_delta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    source: Literal["zigzag", "forward_return", "context", "triple_barrier", "regime"]
    #: Every parameter of the source under its canonical name, defaults included; None = switched off.
    params: Mapping[str, Scalar | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    epochs: int
    batch_size: int
    optimizer: Optimizer
    scheduler: Scheduler | None
    early_stopping: EarlyStopping | None
    #: Largest norm of the gradient; None = off.
    gradient_clip: float | None
    loss: Loss
    class_weights: Literal["balanced", "none"]
    #: None = the job's seed.
    seed: int | None
    #: Shares of train, validation and test, summing to 1.
    data_split: tuple[float, float, float]
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    round_trip_cost: float
    min_edge_multiplier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    output_format: OutputFormat
    confidence_threshold: float
    #: Regression only.
    cost_model: CostModel | None
    #: Hours between two signals.
    min_signal_separation: float
    position_awareness: bool
    allow_short_from_flat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    name: str
    #: description, version, scope, hypothesis, deployment: kept, never interpreted.
    metadata: Mapping[str, object]
    data: TrainingData
    #: By name.
    context: Mapping[str, ContextSeries]
    indicators: Mapping[str, Indicator]
    fuzzy_sets: Mapping[str, FuzzySet]
    inputs: tuple[Input, ...]
    model: Model
    training: Training
    decisions: Decisions
