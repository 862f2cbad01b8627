from __future__ import annotations

import math

import pytest
import torch

from ktrdr.training.losses import balanced_class_weights, sample_losses
from ktrdr.training.strategy.model import Loss

OUTPUTS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [-3.0, 1.0, 1.0]])
TARGETS = torch.tensor([0, 2, 0])
CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 2.0])


def log_probabilities() -> list[float]:
    result = []
    for outputs, target in zip(OUTPUTS.tolist(), TARGETS.tolist(), strict=True):
        result.append(outputs[target] - math.log(math.fsum(map(math.exp, outputs))))
    return result


def test_cross_entropy_is_minus_the_log_probability_of_the_right_class() -> None:
    losses = sample_losses(Loss(type="cross_entropy"), None)(OUTPUTS, TARGETS)
    assert losses.tolist() == pytest.approx([-value for value in log_probabilities()])


def test_cross_entropy_weighs_each_sample_by_its_class() -> None:
    losses = sample_losses(Loss(type="cross_entropy"), CLASS_WEIGHTS)(OUTPUTS, TARGETS)
    expected = [-w * value for w, value in zip([0.5, 2.0, 0.5], log_probabilities(), strict=True)]
    assert losses.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 3.5])
@pytest.mark.parametrize("weights", [None, CLASS_WEIGHTS])
def test_focal_loss_plays_down_what_is_right_already(gamma: float, weights: torch.Tensor | None) -> None:
    losses = sample_losses(Loss(type="focal", focal_gamma=gamma), weights)(OUTPUTS, TARGETS)
    of_class = [1.0, 1.0, 1.0] if weights is None else [0.5, 2.0, 0.5]
    expected = [-w * (1 - math.exp(v)) ** gamma * v for w, v in zip(of_class, log_probabilities(), strict=True)]
    assert losses.tolist() == pytest.approx(expected)


def test_huber_is_square_near_and_linear_far_from_the_label() -> None:
    losses = sample_losses(Loss(type="huber", huber_delta=0.01), None)
    outputs = torch.tensor([[0.005], [0.05], [0.0]])
    assert losses(outputs, torch.zeros(3)).tolist() == pytest.approx([0.5 * 0.005**2, 0.01 * (0.05 - 0.005), 0.0])


def test_mse_is_the_squared_error_of_each_sample() -> None:
    losses = sample_losses(Loss(type="mse"), None)(torch.tensor([[1.0], [-2.0]]), torch.tensor([0.0, 1.0]))
    assert losses.tolist() == [1.0, 9.0]


def test_a_loss_without_its_parameter_is_an_error() -> None:
    with pytest.raises(ValueError, match="lacks a parameter"):
        sample_losses(Loss(type="focal"), None)


def test_balanced_weights_are_inverse_to_the_frequency_with_mean_1_over_the_samples() -> None:
    targets = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = balanced_class_weights(targets, 3)
    assert weights[targets].mean().item() == pytest.approx(1.0)
    assert (weights * torch.tensor([6, 3, 1])).tolist() == pytest.approx([10 / 3] * 3)


def test_an_absent_class_has_the_weight_0_and_a_finite_loss() -> None:
    weights = balanced_class_weights(torch.tensor([0, 0, 2]), 3)
    assert weights.tolist() == pytest.approx([0.75, 0.0, 1.5])
    only_absent = sample_losses(Loss(type="cross_entropy"), weights)(OUTPUTS, torch.tensor([1, 1, 1]))
    assert only_absent.mean().item() == 0.0


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 0.0])], ids=["alike", "weighted"])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS], ids=["plain", "balanced"])
@pytest.mark.parametrize("loss", [Loss(type="cross_entropy"), Loss(type="focal", focal_gamma=2.0)])
def test_the_slope_of_a_loss_is_the_gradient_of_its_mean(
    loss: Loss, class_weights: torch.Tensor | None, weights: torch.Tensor | None
) -> None:
    losses = sample_losses(loss, class_weights)
    total, gradient = losses.slope(OUTPUTS, TARGETS, weights)
    outputs = OUTPUTS.clone().requires_grad_()
    expected = losses(outputs, TARGETS) * (torch.ones(3) if weights is None else weights)
    expected.mean().backward()
    torch.testing.assert_close(total, expected.sum().detach())
    torch.testing.assert_close(gradient, outputs.grad)


@pytest.mark.parametrize("loss", [Loss(type="huber", huber_delta=0.5), Loss(type="mse")])
def test_the_slope_of_a_forecast_points_away_from_the_label(loss: Loss) -> None:
    outputs, targets = torch.tensor([[0.25], [-0.25]]), torch.zeros(2)
    factor = 2.0 if loss.type == "mse" else 1.0
    _, gradient = sample_losses(loss, None).slope(outputs, targets, torch.tensor([1.0, 3.0]))
    assert gradient.flatten().tolist() == pytest.approx([factor * 0.25 / 2, -factor * 0.75 / 2])
