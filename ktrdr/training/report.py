"""The report of a training as plain JSON: everything that its pages show and nothing else. Imports the types only.

A function of the specification, the data and the numeric profile, as the model is: no time, host or job in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ktrdr.training.dataset import Dataset, Part
from ktrdr.training.evaluation import Evaluation
from ktrdr.training.histograms import MembershipHistogram
from ktrdr.training.specification import Specification
from ktrdr.training.trainer import TrainedModel

FORMAT = 1


def report_of(
    specification: Specification,
    *,
    seed: int,
    dataset: Dataset,
    trained: TrainedModel,
    evaluation: Evaluation,
    histograms: Sequence[MembershipHistogram],
) -> dict[str, object]:
    """The report; `json.dumps(…, allow_nan=False)` takes it as it is."""
    strategy = specification.strategy
    return {
        "format": FORMAT,
        "strategy": {
            "name": strategy.name,
            "description": str(strategy.metadata.get("description") or ""),
            "model": {"type": strategy.model.type, **asdict(strategy.model.architecture)},
            "labels": strategy.training.labels.source,
            "decisions": asdict(strategy.decisions),
        },
        "symbols": list(strategy.data.symbols),
        "timeframes": list(strategy.data.timeframes),
        "base_timeframe": strategy.data.base_timeframe,
        "prices": [asdict(reference) for reference in specification.prices],
        "seed": seed,
        "features": len(dataset.feature_names),
        "classes": list(dataset.classes),
        "parts": {
            "train": _part(dataset.train, dataset.classes),
            "validation": _part(dataset.validation, dataset.classes),
            "test": _part(dataset.test, dataset.classes),
        },
        "history": history_of(trained),
        "best_epoch": trained.best_epoch,
        "warnings": evaluation.metrics["warnings"],
        "metrics": evaluation.metrics,
        "symbol_metrics": evaluation.per_symbol,
        "reliability": evaluation.reliability,
        "equity": evaluation.equity,
        "importance": evaluation.importance,
        "fuzzy_sets": list(histograms),
    }


def history_of(trained: TrainedModel) -> list[Mapping[str, object]]:
    """Each epoch as plain data, but for how long it took, which is no property of the model, and for each tensor's
    digest, which the job's events hold."""
    left_out = ("seconds", "tensors")
    return [{key: value for key, value in asdict(epoch).items() if key not in left_out} for epoch in trained.history]


def _part(part: Part, classes: tuple[str, ...]) -> dict[str, object]:
    described: dict[str, object] = {
        "samples": len(part),
        "first": part.first.isoformat(),
        "last": part.last.isoformat(),
    }
    if classes:
        counts = part.targets.bincount(minlength=len(classes)).tolist()
        described["classes"] = dict(zip(classes, counts, strict=True))
    return described
