"""Models on disk: weights as safetensors, everything else as canonical JSON, never pickle. Imports pandas and torch.

The content is a function of the specification, the data and the numeric profile: no time, host or job in it. The
directory alone is enough to predict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import nn

from ktrdr.training.charts import charts_of
from ktrdr.training.dataset import Dataset, network_inputs
from ktrdr.training.decisions import decide_by_class, decide_by_forecast, positions_of, signals_of
from ktrdr.training.evaluation import Evaluation
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.features import feature_columns, features_of
from ktrdr.training.histograms import MembershipHistogram
from ktrdr.training.labels import SOURCES
from ktrdr.training.model_directory import SavedModelError, read_directory, write_directory
from ktrdr.training.models import build_network, outputs_of, window_length
from ktrdr.training.normalization import Scaling
from ktrdr.training.records import nanoseconds
from ktrdr.training.report import history_of, report_of
from ktrdr.training.specification import ContextReference, PriceReference, Specification
from ktrdr.training.strategy.mapping import to_mapping
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.parse import from_mapping
from ktrdr.training.trainer import TrainedModel
from ktrdr.training.windows import Inputs, Windows, rows_with_window

__all__ = ["SavedModel", "SavedModelError", "load", "save"]

FORMAT = 1

_WEIGHTS, _MODEL, _METRICS, REPORT = "weights.safetensors", "model.json", "metrics.json", "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModel:
    strategy: Strategy
    prices: tuple[PriceReference, ...]
    context: tuple[ContextReference, ...]
    seed: int
    feature_names: tuple[str, ...]
    scalings: tuple[Scaling, ...]
    #: Names of the classes by number; empty for regression.
    classes: tuple[str, ...]
    #: The content of metrics.json: training history and test metrics.
    metrics: Mapping[str, object]
    network: nn.Module
    #: The mean of each feature over the train part, normalised: what an explanation starts from.
    feature_means: tuple[float, ...]
    #: SHA-256 of the file SHA256SUMS.
    digest: str

    def predict(
        self, frame: pd.DataFrame | Mapping[str, pd.DataFrame], context: Mapping[str, pd.DataFrame] | None = None
    ) -> pd.DataFrame:
        """What the model says of each bar of one symbol, given its price frame, or frames by their timeframes.

        A timeframe without a frame is resampled as in the training. `context` is the data of the strategy's context
        series by name: price frames of symbols, value series of others. One row per bar whose features are all known,
        and those of its whole window if the network reads windows. Columns: for a classification the probability of
        each class, for a regression `forecast`; then `decision`, and the `position` (long, short or flat) that the
        decisions up to the bar lead to from a flat start, both by section 8. Raises `InvalidInputError` when data is
        missing or is not what it should be.
        """
        frames = frame if isinstance(frame, Mapping) else {self.strategy.data.base_timeframe: frame}
        features = features_of(self.strategy, charts_of(self.strategy, frames, context or {}))
        rows = features.complete_rows()
        length = window_length(self.strategy.model)
        if length is not None:
            rows = rows_with_window(rows, rows, length)
        outputs = outputs_of(self.network, network_inputs(features, rows, self.scalings, length)).double()
        rules, times = self.strategy.decisions, features.times[rows]
        if rules.cost_model is not None:
            forecast = outputs.squeeze(1).numpy()
            predicted = pd.DataFrame({"forecast": forecast}, index=times)
            decisions = decide_by_forecast(forecast, rules.cost_model)
        else:
            probabilities = outputs.softmax(dim=1).numpy()
            predicted = pd.DataFrame(probabilities, index=times, columns=list(self.classes))
            decisions = decide_by_class(probabilities, self.classes, rules.confidence_threshold)
        positions = positions_of(signals_of(decisions), nanoseconds(times).view("M8[ns]"), rules)
        return predicted.assign(decision=decisions, position=np.array(["flat", "long", "short"])[positions])


def save(
    directory: Path,
    specification: Specification,
    *,
    seed: int,
    dataset: Dataset,
    trained: TrainedModel,
    evaluation: Evaluation,
    histograms: Sequence[MembershipHistogram],
) -> str:
    """Writes the model to `directory`, which must not exist yet, and returns its digest."""
    if not trained.history:
        raise ValueError("weights that never trained are never saved")
    return write_directory(
        directory,
        {
            _WEIGHTS: safetensors.torch.save(trained.network.state_dict()),
            _MODEL: _canonical_json(_description(specification, seed, dataset)),
            _METRICS: _canonical_json(_measured(trained, evaluation)),
            REPORT: _canonical_json(
                report_of(
                    specification,
                    seed=seed,
                    dataset=dataset,
                    trained=trained,
                    evaluation=evaluation,
                    histograms=histograms,
                )
            ),
        },
    )


def _description(specification: Specification, seed: int, dataset: Dataset) -> dict[str, object]:
    strategy = specification.strategy
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "format": FORMAT,
        "strategy": to_mapping(strategy),
        "prices": [asdict(reference) for reference in specification.prices],
        "context": [asdict(reference) for reference in specification.context],
        "seed": seed,
        "parts": {
            name: {"samples": len(part), "first": part.first.isoformat(), "last": part.last.isoformat()}
            for name, part in parts.items()
        },
        "features": dataset.feature_names,
        "normalization": [asdict(scaling) for scaling in dataset.scalings],
        "feature_means": _feature_means(dataset.train.features),
        "architecture": {
            "type": strategy.model.type,
            **asdict(strategy.model.architecture),
            "inputs": len(dataset.feature_names),
            "outputs": len(dataset.classes) or 1,
        },
        "classes": dataset.classes,
    }


def _feature_means(inputs: Inputs) -> list[float]:
    rows = inputs.rows if isinstance(inputs, Windows) else inputs
    means: list[float] = rows.mean(dim=0, dtype=torch.float64).tolist()
    return means


def _measured(trained: TrainedModel, evaluation: Evaluation) -> dict[str, object]:
    return {
        "history": history_of(trained),
        "best_epoch": trained.best_epoch,
        "test": evaluation.metrics,
        "test_per_symbol": evaluation.per_symbol,
    }


def _canonical_json(value: object) -> bytes:
    # In the order of insertion, which is the same for equal specifications: sorted keys would lose the order of a fuzzy
    # set's memberships, and with it the order of the features.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def load(directory: Path, *, expected_digest: str | None = None) -> SavedModel:
    """The model in `directory`, every byte checked against its sums.

    Raises `SavedModelError` when the directory is not a saved model as it was written, or is another than expected.
    """
    files, digest = read_directory(directory, frozenset({_WEIGHTS, _MODEL, _METRICS, REPORT}))
    if expected_digest not in (None, digest):
        raise SavedModelError(f"{directory} has the digest {digest}, not {expected_digest}")
    try:
        return _restore(files, digest)
    except (KeyError, TypeError, ValueError, RuntimeError, InvalidInputError, safetensors.SafetensorError) as error:
        raise SavedModelError(f"{directory} is no model that this version can read: {error}") from error


def _restore(files: Mapping[str, bytes], digest: str) -> SavedModel:
    model = json.loads(files[_MODEL])
    if model["format"] != FORMAT:
        raise ValueError(f"its format is {model['format']}, not {FORMAT}")
    strategy = from_mapping(model["strategy"]).strategy
    names = tuple(model["features"])
    classes = tuple(model["classes"])
    if names != tuple(column.name for column in feature_columns(strategy)) or not (
        len(names) == len(model["normalization"]) == len(model["feature_means"])
    ):
        raise ValueError("its features are not those of its strategy")
    if classes != SOURCES[strategy.training.labels.source].classes:
        raise ValueError("its classes are not those of its labels")
    network = build_network(strategy.model, inputs=len(names), outputs=len(classes) or 1)
    network.load_state_dict(safetensors.torch.load(files[_WEIGHTS]))
    return SavedModel(
        strategy=strategy,
        prices=tuple(PriceReference(**reference) for reference in model["prices"]),
        context=tuple(ContextReference(**reference) for reference in model["context"]),
        seed=model["seed"],
        feature_names=names,
        scalings=tuple(Scaling(**scaling) for scaling in model["normalization"]),
        classes=classes,
        metrics=json.loads(files[_METRICS]),
        network=network.eval(),
        feature_means=tuple(model["feature_means"]),
        digest=digest,
    )
