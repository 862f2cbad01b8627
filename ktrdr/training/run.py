"""One training from its specification to a saved model: walks the eleven steps, reports them, and can be stopped.

Synchronous; whoever calls decides in which thread or process. Imports pandas and torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from ktrdr.training import facts
from ktrdr.training.determinism import make_deterministic
from ktrdr.training.device_manager import DeviceCapabilities
from ktrdr.training.facts import Facts
from ktrdr.training.histograms import membership_histograms
from ktrdr.training.pipeline import ReadContext, TrainingPipeline, no_context
from ktrdr.training.progress import (
    CancellationToken,
    ProgressCallback,
    StageFinished,
    StageStarted,
    TrainingCancelledError,
)
from ktrdr.training.resuming import Origin
from ktrdr.training.specification import PriceReference, Specification
from ktrdr.training.trainer import CheckpointCallback
from ktrdr.training.weights import weights_digest

#: The steps in order, each a method of `TrainingPipeline`.
STAGES = (
    "load_price_data",
    "calculate_indicators",
    "generate_fuzzy_memberships",
    "engineer_features",
    "generate_labels",
    "combine_multi_symbol_data",
    "split_data",
    "create_model",
    "train_model",
    "evaluate_model",
    "save_model",
)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    #: SHA-256 of the saved model's SHA256SUMS.
    model_digest: str
    #: SHA-256 over the canonical bytes of the weights.
    weights_digest: str
    #: Metrics of the test part, overall and by symbol.
    metrics: Mapping[str, object]
    per_symbol_metrics: Mapping[str, Mapping[str, object]]
    epochs_trained: int
    #: The epoch whose weights were saved.
    best_epoch: int


def train(
    specification: Specification,
    *,
    read_prices: Callable[[PriceReference], pd.DataFrame],
    read_context: ReadContext = no_context,
    output: Path,
    capabilities: DeviceCapabilities,
    progress_callback: ProgressCallback,
    cancellation_token: CancellationToken,
    origins: Sequence[Origin] = (),
    checkpoint_callback: CheckpointCallback | None = None,
) -> TrainingResult:
    """Trains the model and saves it as the directory `output`, which must not exist yet.

    `read_prices` gives the price frame that a reference names, `read_context` the price frame or value series. The
    token is looked at before each stage and each batch. Raises `TrainingCancelledError`, or `TrainingFailedError` when
    the specification and the data cannot give a model; nothing is saved then. Raises `FileExistsError` before any work
    when `output` exists.

    `checkpoint_callback` gets after every epoch a function that gives the checkpoint. `origins` are checkpoints that
    the training may go on from, the best first: it uses the first one that it can, says before the first batch which
    one that was, and ends with the same result as without a break.
    """

    def stage(name: str, work: Callable[[], Result], found: Callable[[Result], Facts]) -> Result:
        if cancellation_token.is_cancellation_requested():
            raise TrainingCancelledError
        number = STAGES.index(name) + 1
        progress_callback(StageStarted(name=name, number=number, total=len(STAGES)))
        started = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - started
        progress_callback(
            StageFinished(name=name, number=number, total=len(STAGES), seconds=seconds, facts=found(result))
        )
        return result

    if output.exists():
        raise FileExistsError(f"{output} exists already; a saved model is never overwritten")
    make_deterministic()
    pipeline = TrainingPipeline(specification, capabilities)
    frames = stage(
        "load_price_data",
        lambda: pipeline.load_price_data(read_prices, read_context),
        lambda frames: facts.of_prices(specification, frames),
    )
    indicators = stage(
        "calculate_indicators",
        lambda: pipeline.calculate_indicators(frames),
        facts.of_indicators,
    )
    memberships = stage(
        "generate_fuzzy_memberships",
        lambda: pipeline.generate_fuzzy_memberships(indicators),
        facts.of_memberships,
    )
    features = stage(
        "engineer_features",
        lambda: pipeline.engineer_features(frames, indicators, memberships),
        facts.of_features,
    )
    labels = stage(
        "generate_labels",
        lambda: pipeline.generate_labels(frames),
        lambda labels: facts.of_labels(specification.strategy.training.labels.source, labels),
    )
    samples = stage(
        "combine_multi_symbol_data",
        lambda: pipeline.combine_multi_symbol_data(features, labels),
        facts.of_samples,
    )
    dataset = stage("split_data", lambda: pipeline.split_data(samples), facts.of_dataset)
    model = stage("create_model", lambda: pipeline.create_model(dataset), facts.of_network)
    trained = stage(
        "train_model",
        lambda: pipeline.train_model(
            model,
            dataset,
            progress_callback=progress_callback,
            cancellation_token=cancellation_token,
            origins=origins,
            checkpoint_callback=checkpoint_callback,
        ),
        facts.of_training,
    )
    evaluation = stage(
        "evaluate_model",
        lambda: pipeline.evaluate_model(trained, dataset),
        lambda evaluation: {"metrics": evaluation.metrics, "per_symbol": evaluation.per_symbol},
    )
    weights = weights_digest(trained.network.state_dict())
    model_digest = stage(
        "save_model",
        lambda: pipeline.save_model(
            trained,
            dataset,
            evaluation,
            membership_histograms(specification.strategy, frames, indicators, dataset.train),
            output,
        ),
        lambda digest: {"model_digest": digest, "weights_digest": weights},
    )
    return TrainingResult(
        model_digest=model_digest,
        weights_digest=weights,
        metrics=evaluation.metrics,
        per_symbol_metrics=evaluation.per_symbol,
        epochs_trained=len(trained.history),
        best_epoch=trained.best_epoch,
    )
