"""The whole evaluation of a trained model on the test part, overall and per symbol. Imports numpy and torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ktrdr.training.dataset import Dataset, Part
from ktrdr.training.decisions import Signs, positions_of, signals_of
from ktrdr.training.evaluation import trades, warnings
from ktrdr.training.evaluation.answers import Classes, Forecasts
from ktrdr.training.evaluation.calibration import ReliabilityBin
from ktrdr.training.evaluation.importance import (
    REPEATS,
    InputImportance,
    by_input,
    choose_samples,
    most_samples,
    permutation_importance,
)
from ktrdr.training.evaluation.metrics import Metrics
from ktrdr.training.losses import SampleLosses
from ktrdr.training.models import outputs_of
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.names import feature_columns
from ktrdr.training.trainer import TrainedModel

#: Inputs whose importance the metrics have; the report has all of them.
_MOST_INPUTS = 20
#: Points of an equity curve.
_CURVE_POINTS = 500


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything as plain JSON. What is long stands beside the metrics, which go into the event log."""

    metrics: Metrics
    #: Only symbols with samples in the test part.
    per_symbol: dict[str, Metrics]
    #: The reliability diagram; empty for a regression.
    reliability: list[ReliabilityBin]
    #: `model` and `buy_and_hold` → the capital over time, `{times, equity}`.
    equity: Mapping[str, object]
    #: Of every input, the most important first.
    importance: list[InputImportance]


def evaluate(
    trained: TrainedModel, dataset: Dataset, losses: SampleLosses, *, strategy: Strategy, seed: int
) -> Evaluation:
    """Metrics of the test part. Those without skill say what always answering the same would reach: the most frequent
    class of the train part (for the log loss the frequencies of all its classes), or its mean."""
    test = dataset.test
    outputs = outputs_of(trained.network, test.features)
    sample_losses = losses(outputs, test.targets).double().numpy()
    answers: Classes | Forecasts = (Classes if dataset.classes else Forecasts).of(outputs.double(), dataset)
    costs = strategy.decisions.cost_model
    cost = costs.round_trip_cost if costs else 0.0
    signals = signals_of(answers.decisions(strategy.decisions))
    by_symbol = {symbol: samples for symbol, samples in test.symbols.items() if samples.stop > samples.start}
    traded = {symbol: _trade(test, samples, signals, strategy, cost) for symbol, samples in by_symbol.items()}
    portfolio = trades.together(list(traded.values()))

    def measure(samples: slice, result: trades.Traded) -> Metrics:
        return {
            "samples": int(samples.stop - samples.start),
            "loss": float(sample_losses[samples].mean()),
            **answers.measure(samples),
            "trading": trades.trading_metrics(result, cost),
        }

    everything = slice(0, len(test))
    metrics = measure(everything, portfolio)
    importance, looked_at = _importance(trained.network, dataset, strategy, seed)
    metrics["importance"] = {
        "score": "balanced_accuracy" if dataset.classes else "rmse",
        "samples": looked_at,
        "repeats": REPEATS,
        "inputs": importance[:_MOST_INPUTS],
    }
    metrics["warnings"] = [
        *warnings.of_size(len(test)),
        *answers.warnings(metrics),
        *warnings.of_trading(trades.trading_metrics(portfolio, cost)),
        *_gap_warnings(trained),
    ]
    return Evaluation(
        metrics=metrics,
        per_symbol={symbol: measure(samples, traded[symbol]) for symbol, samples in by_symbol.items()},
        reliability=answers.reliability(everything),
        equity={
            "model": trades.curve(portfolio.model, _CURVE_POINTS),
            "buy_and_hold": trades.curve(portfolio.buy_and_hold, _CURVE_POINTS),
        },
        importance=importance,
    )


def _trade(test: Part, samples: slice, signals: Signs, strategy: Strategy, cost: float) -> trades.Traded:
    times, closes = test.times[samples], test.closes[samples]
    return trades.trade(positions_of(signals[samples], times, strategy.decisions), times, closes, cost)


def _importance(
    network: nn.Module, dataset: Dataset, strategy: Strategy, seed: int
) -> tuple[list[InputImportance], int]:
    """The importance of every input, and how many samples were looked at."""
    test = dataset.test
    chosen = choose_samples(len(test), most_samples(test.features), seed)
    samples = torch.from_numpy(chosen)
    # As one tensor of its own, windows put together: its columns are going to be permuted.
    inputs, targets = torch.cat([*test.features[samples].split(len(samples))]), test.targets[samples]
    symbols = [slice(*np.searchsorted(chosen, (of.start, of.stop))) for of in test.symbols.values()]

    def score(permuted: torch.Tensor) -> float:
        outputs = outputs_of(network, permuted)
        if not dataset.classes:
            return -float((outputs.squeeze(1) - targets).double().square().mean().sqrt())
        right = torch.bincount(targets[outputs.argmax(dim=1) == targets], minlength=len(dataset.classes))
        actually = torch.bincount(targets, minlength=len(dataset.classes))
        return float((right / actually)[actually > 0].mean())

    groups = by_input(feature_columns(strategy))
    return permutation_importance(inputs, groups, symbols, score, seed=seed), len(chosen)


def _gap_warnings(trained: TrainedModel) -> Iterator[str]:
    if trained.history:
        epoch = trained.history[trained.best_epoch - 1]
        yield from warnings.of_gap(
            {"loss": epoch.train_loss, "accuracy": epoch.train_accuracy},
            {"loss": epoch.validation_loss, "accuracy": epoch.validation_accuracy},
        )
