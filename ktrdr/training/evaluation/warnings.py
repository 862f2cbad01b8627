"""Plain sentences about a result that one should not trust: what is wrong, with the numbers. Imports numpy only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.evaluation.metrics import Metrics
from ktrdr.training.evaluation.trades import Trading

Floats = NDArray[np.float64]

#: A class with less of the samples of a part, or fewer of them, is nearly absent.
RARE_SHARE, RARE_COUNT = 0.02, 20
#: A test part with fewer samples says little.
SMALL_TEST = 100
#: Expected calibration error above which probabilities are no probabilities.
LARGE_CALIBRATION_ERROR = 0.1
#: Accuracy lost from train to validation, and the ratio of their losses, above which the model has learnt by heart.
LARGE_ACCURACY_GAP, LARGE_LOSS_RATIO = 0.1, 1.5


def of_size(samples: int) -> Iterator[str]:
    """A small test part."""
    if samples < SMALL_TEST:
        yield f"the test part has only {samples} samples, so every figure here is rough"


def of_classification(metrics: Metrics, usual: str) -> Iterator[str]:
    """An accuracy that is not above that of the most frequent answer; probabilities that are none."""
    matrix = np.asarray(metrics["confusion_matrix"], dtype=np.float64)
    accuracy, baseline = _number(metrics["accuracy"]), _number(metrics["no_skill_accuracy"])
    error = math.sqrt(accuracy * (1.0 - accuracy) / matrix.sum())
    if accuracy - baseline <= error:
        yield (
            f"the accuracy of {accuracy:.1%} is not above the {baseline:.1%} of always answering {usual!r} by more "
            f"than its standard error of {error:.1%}"
        )
    balanced, baseline = _number(metrics["balanced_accuracy"]), _number(metrics["no_skill_balanced_accuracy"])
    error = _balanced_error(matrix)
    if balanced - baseline <= error:
        yield (
            f"the balanced accuracy of {balanced:.1%} is not above the {baseline:.1%} of answering without skill by "
            f"more than its standard error of {error:.1%}"
        )
    calibration = _number(metrics["expected_calibration_error"])
    if calibration > LARGE_CALIBRATION_ERROR:
        yield (
            f"the probabilities are off by {calibration:.1%} on average (expected calibration error), so do not read a "
            "confidence as a chance of being right"
        )


def of_classes(parts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Part → class → samples: classes that are nearly absent from a part."""
    for part, counts in parts.items():
        total = sum(counts.values())
        for name, count in counts.items():
            if count < max(RARE_COUNT, RARE_SHARE * total):
                yield f"the class {name!r} is nearly absent from the {part} part: {count} of {total} samples"


def of_regression(actual: Floats, forecasts: Floats, usual: float) -> Iterator[str]:
    """Errors that are not below those of the mean of the train part; a rank correlation that may be chance."""
    gains = (usual - actual) ** 2 - (forecasts - actual) ** 2
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    if float(gains.mean()) <= error:
        model, baseline = (math.sqrt(float(((of - actual) ** 2).mean())) for of in (forecasts, usual))
        yield (
            f"the RMSE of {model:.5g} is not below the {baseline:.5g} of always forecasting the mean of the train part "
            "by more than its standard error"
        )


def of_rank_correlation(metrics: Metrics) -> Iterator[str]:
    """An information coefficient within what chance gives, about 1 / sqrt(n - 1)."""
    coefficient, samples = metrics["information_coefficient"], metrics["samples"]
    if coefficient is None:
        yield "the model forecasts the same number for every sample"
        return
    chance = 1.0 / math.sqrt(max(int(_number(samples)) - 1, 1))
    if _number(coefficient) <= chance:
        yield (
            f"the information coefficient of {_number(coefficient):.3f} is not above the {chance:.3f} that chance "
            "gives this many samples"
        )


def of_trading(trading: Trading) -> Iterator[str]:
    """No trade at all, or less than buying and holding."""
    if trading["trades"] == 0:
        yield "the decisions led to no trade on the test part"
    elif trading["net_return"] < trading["buy_and_hold_return"]:
        yield (
            f"trading by the model returned {trading['net_return']:+.1%}, less than the "
            f"{trading['buy_and_hold_return']:+.1%} of buying and holding"
        )


def of_gap(train: Mapping[str, float | None], validation: Mapping[str, float | None]) -> Iterator[str]:
    """`loss` and `accuracy` (None for a regression) of two parts: one that is much worse on validation."""
    if train["accuracy"] is not None and validation["accuracy"] is not None:
        gap = train["accuracy"] - validation["accuracy"]
        if gap > LARGE_ACCURACY_GAP:
            yield (
                f"the accuracy falls from {train['accuracy']:.1%} on the train part to {validation['accuracy']:.1%} on "
                "the validation part: the model has learnt the train part by heart"
            )
    elif _number(validation["loss"]) > LARGE_LOSS_RATIO * _number(train["loss"]):
        yield (
            f"the loss rises from {train['loss']:.5g} on the train part to {validation['loss']:.5g} on the validation "
            "part: the model has learnt the train part by heart, or the market has changed"
        )


def _balanced_error(confusion: Floats) -> float:
    """The standard error of the mean of the recalls, each a share of its class's samples."""
    actually = confusion.sum(axis=1)
    recalls = confusion.diagonal()[actually > 0] / actually[actually > 0]
    return float(np.sqrt((recalls * (1.0 - recalls) / actually[actually > 0]).sum()) / len(recalls))


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
