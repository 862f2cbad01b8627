"""Fuzzy memberships: how much a value belongs to a named range, from 0 to 1. Imports numpy only.

Shapes and edges are those of section 4 of the strategy format. A missing value (NaN) has a missing membership.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.strategy.model import Membership

Array = NDArray[np.float64]


def degrees(values: Array, membership: Membership) -> Array:
    """The membership of each value, as a new float64 array of the same length."""
    # Far from a narrow shape a distance overflows to infinity, and at the centre of a bell its logarithm is minus
    # infinity; either gives the membership 0 or 1 as it should.
    with np.errstate(over="ignore", divide="ignore"):
        match membership.shape, membership.parameters:
            case "triangular", (a, b, c):
                return _trapezoidal(values, a, b, b, c)
            case "trapezoidal", (a, b, c, d):
                return _trapezoidal(values, a, b, c, d)
            case "gaussian", (mu, sigma):
                return _gaussian(values, mu, sigma)
            case "sigmoid", (centre, slope):
                return _sigmoid(values, centre, slope)
            case "bell", (width, slope, centre):
                return _bell(values, width, slope, centre)
            case shape, parameters:
                raise ValueError(f"a {shape} membership does not have {len(parameters)} parameters")


def _trapezoidal(values: Array, a: float, b: float, c: float, d: float) -> Array:
    """The lower of the rising and the falling edge, cut at 0 and 1; an edge between equal corners is vertical."""
    degree = _slope(values, a, b) if a < b else np.heaviside(values - b, 1.0)
    falling = _slope(values, d, c) if c < d else np.heaviside(c - values, 1.0)
    np.minimum(degree, falling, out=degree)
    return np.clip(degree, 0.0, 1.0, out=degree)


def _slope(values: Array, foot: float, shoulder: float) -> Array:
    """A straight line that is 0 at the foot and 1 at the shoulder."""
    degree = values - foot
    degree /= shoulder - foot
    return degree


def _gaussian(values: Array, mu: float, sigma: float) -> Array:
    degree = values - mu
    degree /= sigma
    degree *= degree
    degree *= -0.5
    return np.exp(degree, out=degree)


def _sigmoid(values: Array, centre: float, slope: float) -> Array:
    """1 / (1 + exp(-slope (x - centre)))."""
    exponent = values - centre
    exponent *= -slope
    return _logistic(exponent)


def _bell(values: Array, width: float, slope: float, centre: float) -> Array:
    """1 / (1 + |(x - centre) / width|^(2 slope)); by way of the logarithm the power takes a third of the time."""
    exponent = values - centre
    exponent /= width
    np.abs(exponent, out=exponent)
    np.log(exponent, out=exponent)
    exponent *= 2.0
    exponent *= slope
    return _logistic(exponent)


def _logistic(exponent: Array) -> Array:
    """1 / (1 + exp(exponent)), in place."""
    np.exp(exponent, out=exponent)
    exponent += 1.0
    return np.reciprocal(exponent, out=exponent)
