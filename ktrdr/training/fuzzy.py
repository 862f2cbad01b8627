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
    match membership.shape, membership.parameters:
        case "triangular", (a, b, c):
            return _trapezoidal(values, a, b, b, c)
        case "trapezoidal", (a, b, c, d):
            return _trapezoidal(values, a, b, c, d)
        case "gaussian", (mu, sigma):
            return _gaussian(values, mu, sigma)
        case shape, parameters:
            raise ValueError(f"a {shape} membership does not have {len(parameters)} parameters")


def _trapezoidal(values: Array, a: float, b: float, c: float, d: float) -> Array:
    rising = _edge(values, foot=a, shoulder=b)
    falling = _edge(-values, foot=-d, shoulder=-c)
    return np.minimum(rising, falling, out=rising)


def _edge(values: Array, *, foot: float, shoulder: float) -> Array:
    """0 up to the foot, 1 from the shoulder on, a straight line between; a vertical edge where the two are one."""
    if foot == shoulder:
        return np.heaviside(values - shoulder, 1.0)
    degree = values - foot
    degree /= shoulder - foot
    return np.clip(degree, 0.0, 1.0, out=degree)


def _gaussian(values: Array, mu: float, sigma: float) -> Array:
    with np.errstate(over="ignore"):  # A distance whose square overflows has membership 0, as it should.
        degree = values - mu
        degree /= sigma
        degree *= degree
        degree *= -0.5
        return np.exp(degree, out=degree)
