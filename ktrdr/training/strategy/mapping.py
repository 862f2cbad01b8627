"""A `Strategy` back to plain JSON data that parses to an equal value without a warning. Imports the model only.

Every default is written out, so that the mapping means the same in a version with other defaults. What an output
format, loss or type does not read is left out. What has an order is a list: canonical JSON sorts the keys of maps.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from ktrdr.training.strategy.model import (
    ContextSeries,
    CostModel,
    Decisions,
    EarlyStopping,
    FuzzySet,
    Indicator,
    Input,
    Loss,
    Optimizer,
    Scheduler,
    Strategy,
    Training,
    TrainingData,
)


def to_mapping(strategy: Strategy) -> dict[str, object]:
    """Plain data for `ktrdr.training.strategy.parse.from_mapping`, in the order of a strategy file."""
    return {
        "name": strategy.name,
        **strategy.metadata,
        "training_data": _training_data(strategy.data),
        **({"context_data": [_context(series) for series in strategy.context.values()]} if strategy.context else {}),
        "indicators": {id: _indicator(indicator) for id, indicator in strategy.indicators.items()},
        "fuzzy_sets": {id: _fuzzy_set(fuzzy_set) for id, fuzzy_set in strategy.fuzzy_sets.items()},
        "nn_inputs": [_input(entry) for entry in strategy.inputs],
        "model": {
            "type": strategy.model.type,
            "architecture": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(strategy.model.architecture).items()
            },
            "features": asdict(strategy.model.features),
        },
        "decisions": _decisions(strategy.decisions),
        "training": _training(strategy.training),
    }


def _training_data(data: TrainingData) -> dict[str, object]:
    limits = {"start": _time(data.start), "end": _time(data.end)}
    return {
        "symbols": {"mode": "multi_symbol", "list": list(data.symbols)},
        "timeframes": {
            "mode": "multi_timeframe",
            "list": list(data.timeframes),
            "base_timeframe": data.base_timeframe,
        },
        "date_range": {name: time for name, time in limits.items() if time is not None},
        "history_required": data.history_required,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _context(series: ContextSeries) -> dict[str, object]:
    return {
        "provider": series.provider,
        series.kind: series.name,
        "frequency": series.frequency,
        "publication_lag": series.publication_lag / timedelta(days=1),
        "alignment": "forward_fill",
    }


def _indicator(indicator: Indicator) -> dict[str, object]:
    source = {} if indicator.data_source is None else {"data_source": indicator.data_source}
    return {"type": indicator.type, **indicator.params, **source}


def _fuzzy_set(fuzzy_set: FuzzySet) -> dict[str, object]:
    memberships = [{"name": m.name, "type": m.shape, "parameters": list(m.parameters)} for m in fuzzy_set.memberships]
    return {"indicator": fuzzy_set.indicator, "memberships": memberships}


def _input(entry: Input) -> dict[str, object]:
    if entry.fuzzy_set is not None:
        return {"fuzzy_set": entry.fuzzy_set, "timeframes": list(entry.timeframes)}
    return {
        "raw_indicator": entry.raw_indicator,
        "timeframes": list(entry.timeframes),
        "normalization": entry.normalization,
    }


def _decisions(decisions: Decisions) -> dict[str, object]:
    if decisions.cost_model is None:
        own: dict[str, object] = {"confidence_threshold": decisions.confidence_threshold}
    else:
        own = {"cost_model": _cost_model(decisions.cost_model)}
    return {
        "output_format": decisions.output_format,
        **own,
        "filters": {"min_signal_separation": decisions.min_signal_separation},
        "position_awareness": decisions.position_awareness,
        "allow_short_from_flat": decisions.allow_short_from_flat,
    }


def _cost_model(cost_model: CostModel) -> dict[str, object]:
    return {
        "round_trip_cost": cost_model.round_trip_cost,
        "min_edge_multiplier": cost_model.min_edge_multiplier,
    }


def _training(training: Training) -> dict[str, object]:
    train, validation, test = training.data_split
    mapping: dict[str, object] = {
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "optimizer": _optimizer(training.optimizer),
        "lr_scheduler": _scheduler(training.scheduler),
        "early_stopping": _early_stopping(training.early_stopping),
        "gradient_clip": training.gradient_clip or 0.0,
        **_loss(training.loss),
        "data_split": {"train": train, "validation": validation, "test": test},
        "labels": {"source": training.labels.source, **training.labels.params},
    }
    if training.loss.type in ("cross_entropy", "focal"):
        mapping["class_weights"] = training.class_weights
    if training.seed is not None:
        mapping["seed"] = training.seed
    return mapping


def _optimizer(optimizer: Optimizer) -> dict[str, object]:
    momentum = {"momentum": optimizer.momentum} if optimizer.type in ("sgd", "rmsprop") else {}
    return {
        "type": optimizer.type,
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        **momentum,
    }


def _scheduler(scheduler: Scheduler | None) -> dict[str, object] | bool:
    if scheduler is None:
        return False
    fields = ("type", "step_size", "gamma", "factor", "patience")
    return {name: getattr(scheduler, name) for name in fields if getattr(scheduler, name) is not None}


def _early_stopping(stopping: EarlyStopping | None) -> dict[str, object] | bool:
    if stopping is None:
        return False
    return {"patience": stopping.patience, "min_delta": stopping.min_delta, "monitor": stopping.monitor}


def _loss(loss: Loss) -> dict[str, object]:
    parameters = {"focal_gamma": loss.focal_gamma, "huber_delta": loss.huber_delta}
    return {"loss": loss.type} | {name: value for name, value in parameters.items() if value is not None}
