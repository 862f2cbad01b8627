"""Models on disk: weights as safetensors, everything else as canonical JSON, never pickle. Imports pandas and torch.

The content is a function of the specification, the data and the numeric profile: no time, host or job in it. The
directory alone is enough to predict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import safetensors
import safetensors.torch
from torch import nn

from ktrdr.training import prices
from ktrdr.training.dataset import Dataset, feature_tensor
from ktrdr.training.decisions import decide_by_class, decide_by_forecast
from ktrdr.training.evaluation import Evaluation
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.features import feature_columns, features_of
from ktrdr.training.labels import SOURCES
from ktrdr.training.model_directory import SavedModelError, read_directory, write_directory
from ktrdr.training.models import build_network, outputs_of
from ktrdr.training.normalization import Scaling
from ktrdr.training.specification import PriceReference, Specification
from ktrdr.training.strategy.mapping import to_mapping
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.parse import from_mapping
from ktrdr.training.trainer import TrainedModel

__all__ = ["SavedModel", "SavedModelError", "load", "save"]

FORMAT = 1

_WEIGHTS, _MODEL, _METRICS = "weights.safetensors", "model.json", "metrics.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModel:
    strategy: Strategy
    prices: tuple[PriceReference, ...]
    seed: int
    feature_names: tuple[str, ...]
    scalings: tuple[Scaling, ...]
    #: Names of the classes by number; empty for regression.
    classes: tuple[str, ...]
    #: The content of metrics.json: training history and test metrics.
    metrics: Mapping[str, object]
    network: nn.Module
    #: SHA-256 of the file SHA256SUMS.
    digest: str

    def predict(self, frame: pd.DataFrame | Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """What the model says of each bar of one symbol, given its price frame (or one for each timeframe).

        One row per bar whose features are all known. Columns: for a classification the probability of each class, for
        a regression `forecast`; and `decision`, by section 8. Raises `InvalidInputError` when a frame is no price
        frame.
        """
        frames = frame if isinstance(frame, Mapping) else {self.strategy.data.base_timeframe: frame}
        for one in frames.values():
            prices.validate(one)
        features = features_of(self.strategy, frames)
        rows = features.complete_rows()
        outputs = outputs_of(self.network, feature_tensor(features, rows, self.scalings)).double()
        decisions = self.strategy.decisions
        if decisions.cost_model is not None:
            forecast = outputs.squeeze(1).numpy()
            predicted = pd.DataFrame({"forecast": forecast}, index=features.times[rows])
            return predicted.assign(decision=decide_by_forecast(forecast, decisions.cost_model))
        probabilities = outputs.softmax(dim=1).numpy()
        predicted = pd.DataFrame(probabilities, index=features.times[rows], columns=list(self.classes))
        return predicted.assign(decision=decide_by_class(probabilities, self.classes, decisions.confidence_threshold))


def save(
    directory: Path,
    specification: Specification,
    *,
    seed: int,
    dataset: Dataset,
    trained: TrainedModel,
    evaluation: Evaluation,
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
        },
    )


def _description(specification: Specification, seed: int, dataset: Dataset) -> dict[str, object]:
    strategy = specification.strategy
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "format": FORMAT,
        "strategy": to_mapping(strategy),
        "prices": [asdict(reference) for reference in specification.prices],
        "seed": seed,
        "parts": {
            name: {"samples": len(part), "first": part.first.isoformat(), "last": part.last.isoformat()}
            for name, part in parts.items()
        },
        "features": dataset.feature_names,
        "normalization": [asdict(scaling) for scaling in dataset.scalings],
        "architecture": {
            "type": strategy.model.type,
            **asdict(strategy.model.architecture),
            "inputs": len(dataset.feature_names),
            "outputs": len(dataset.classes) or 1,
        },
        "classes": dataset.classes,
    }


def _measured(trained: TrainedModel, evaluation: Evaluation) -> dict[str, object]:
    # How long an epoch took is no property of the model.
    history = [{key: value for key, value in asdict(epoch).items() if key != "seconds"} for epoch in trained.history]
    return {
        "history": history,
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
    files, digest = read_directory(directory, frozenset({_WEIGHTS, _MODEL, _METRICS}))
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
    if names != tuple(column.name for column in feature_columns(strategy)) or len(names) != len(model["normalization"]):
        raise ValueError("its features are not those of its strategy")
    if classes != SOURCES[strategy.training.labels.source].classes:
        raise ValueError("its classes are not those of its labels")
    network = build_network(strategy.model, inputs=len(names), outputs=len(classes) or 1)
    network.load_state_dict(safetensors.torch.load(files[_WEIGHTS]))
    return SavedModel(
        strategy=strategy,
        prices=tuple(PriceReference(**reference) for reference in model["prices"]),
        seed=model["seed"],
        feature_names=names,
        scalings=tuple(Scaling(**scaling) for scaling in model["normalization"]),
        classes=classes,
        metrics=json.loads(files[_METRICS]),
        network=network.eval(),
        digest=digest,
    )
