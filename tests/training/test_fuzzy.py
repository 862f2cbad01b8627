from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_examples import make_membership

from ktrdr.training.fuzzy import degrees

numbers = st.floats(-1e6, 1e6)


def degree(x: float, shape: str, *parameters: float) -> float:
    return float(degrees(np.array([float(x)]), make_membership("m", shape, *parameters))[0])


def plain_trapezoid(x: float, a: float, b: float, c: float, d: float) -> float:
    if b <= x <= c:
        return 1.0
    if x <= a or x >= d:
        return 0.0
    return (x - a) / (b - a) if x < b else (d - x) / (d - c)


@pytest.mark.parametrize(
    ("x", "right"), [(9, 0), (10, 0), (15, 0.5), (20, 1), (30, 0.5), (40, 0), (41, 0), (math.inf, 0), (-math.inf, 0)]
)
def test_a_triangle_rises_to_its_peak_and_falls(x: float, right: float) -> None:
    assert degree(x, "triangular", 10, 20, 40) == right


@pytest.mark.parametrize(("x", "right"), [(-0.001, 0), (0, 1), (10, 0.5), (20, 0)])
def test_a_left_shoulder_is_1_at_its_edge(x: float, right: float) -> None:
    assert degree(x, "triangular", 0, 0, 20) == right


@pytest.mark.parametrize(("x", "right"), [(0, 0), (10, 0.5), (20, 1), (20.001, 0)])
def test_a_right_shoulder_is_1_at_its_edge(x: float, right: float) -> None:
    assert degree(x, "triangular", 0, 20, 20) == right


@pytest.mark.parametrize(("x", "right"), [(4.999, 0), (5, 1), (5.001, 0)])
def test_a_triangle_of_one_point_is_1_there_only(x: float, right: float) -> None:
    assert degree(x, "triangular", 5, 5, 5) == right


@pytest.mark.parametrize(("x", "right"), [(-1, 0), (0, 1), (30, 1), (35, 0.5), (40, 0)])
def test_a_trapezoid_with_a_shoulder_is_1_from_edge_to_edge(x: float, right: float) -> None:
    assert degree(x, "trapezoidal", 0, 0, 30, 40) == right


@given(x=numbers, corners=st.lists(numbers, min_size=4, max_size=4).map(sorted))
def test_a_trapezoid_agrees_with_its_definition(x: float, corners: list[float]) -> None:
    assert degree(x, "trapezoidal", *corners) == pytest.approx(plain_trapezoid(x, *corners), abs=1e-9)


@given(x=numbers, corners=st.lists(numbers, min_size=3, max_size=3).map(sorted))
def test_a_triangle_is_a_trapezoid_with_a_plateau_of_one_point(x: float, corners: list[float]) -> None:
    a, b, c = corners
    assert degree(x, "triangular", a, b, c) == pytest.approx(plain_trapezoid(x, a, b, b, c), abs=1e-9)


@given(x=st.floats(allow_nan=False), mu=numbers, sigma=st.floats(1e-300, 1e6))
def test_a_gaussian_agrees_with_its_definition(x: float, mu: float, sigma: float) -> None:
    distance = (x - mu) / sigma
    right = 0.0 if abs(distance) > 1e3 else math.exp(-(distance**2) / 2)
    assert degree(x, "gaussian", mu, sigma) == pytest.approx(right, abs=1e-12)


any_number = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(0, exclude_min=True, allow_infinity=False)


@given(x=numbers, centre=numbers, slope=st.floats(-1e3, 1e3).filter(bool))
def test_a_sigmoid_agrees_with_its_definition(x: float, centre: float, slope: float) -> None:
    exponent = -slope * (x - centre)
    right = 1.0 / (1.0 + math.exp(exponent)) if exponent < 700 else 0.0
    assert degree(x, "sigmoid", centre, slope) == pytest.approx(right, rel=1e-12, abs=1e-300)


@given(x=st.floats(allow_nan=False), centre=any_number, slope=any_number.filter(bool))
def test_no_sigmoid_overflows_or_leaves_its_range(x: float, centre: float, slope: float) -> None:
    """From the smallest to the largest number and infinity: warnings are errors here."""
    rises = degree(x, "sigmoid", centre, slope)
    assert 0.0 <= rises <= 1.0
    if x != centre:
        assert rises >= 0.5 if (x > centre) == (slope > 0) else rises <= 0.5


def test_a_sigmoid_rises_with_its_slope_and_falls_with_a_negative_one() -> None:
    assert degree(50, "sigmoid", 50, 0.2) == 0.5
    assert degree(60, "sigmoid", 50, 0.2) == pytest.approx(1 / (1 + math.exp(-2)))
    assert degree(60, "sigmoid", 50, -0.2) == pytest.approx(1 / (1 + math.exp(2)))
    assert [degree(x, "sigmoid", 50, 1e9) for x in (-math.inf, 49, 51, math.inf)] == [0, 0, 1, 1]


@given(x=numbers, width=st.floats(0.1, 1e6), slope=st.floats(1e-3, 8), centre=numbers)
def test_a_bell_agrees_with_its_definition(x: float, width: float, slope: float, centre: float) -> None:
    right = 1.0 / (1.0 + (abs(x - centre) / width) ** (2 * slope))
    assert degree(x, "bell", width, slope, centre) == pytest.approx(right, rel=1e-11, abs=1e-300)


@given(x=st.floats(allow_nan=False), width=positive, slope=positive, centre=any_number)
def test_no_bell_overflows_or_leaves_its_range(x: float, width: float, slope: float, centre: float) -> None:
    at = degree(x, "bell", width, slope, centre)
    assert 0.0 <= at <= 1.0
    if abs(x - centre) < width:
        assert at >= 0.5


def test_a_bell_is_1_at_its_centre_and_a_half_at_its_width() -> None:
    assert [degree(x, "bell", 10, 2, 50) for x in (40, 50, 60)] == pytest.approx([0.5, 1, 0.5])
    assert degree(70, "bell", 10, 2, 50) == pytest.approx(1 / 17)
    assert [degree(x, "bell", 10, 2, 50) for x in (-math.inf, math.inf)] == [0, 0]


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ("triangular", (0, 1, 2)),
        ("triangular", (1, 1, 1)),
        ("trapezoidal", (0, 0, 1, 1)),
        ("gaussian", (0, 1)),
        ("sigmoid", (0, -1)),
        ("bell", (1, 2, 0)),
        ("bell", (1, 2, 1)),
    ],
)
def test_a_missing_value_has_a_missing_membership_and_the_input_stays(
    shape: str, parameters: tuple[float, ...]
) -> None:
    values = np.array([math.nan, 1.0, math.nan])
    result = degrees(values, make_membership("m", shape, *parameters))
    assert np.isnan(result).tolist() == [True, False, True]
    np.testing.assert_array_equal(values, [math.nan, 1.0, math.nan])


def test_a_wrong_number_of_parameters_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not have 2 parameters"):
        degree(1.0, "triangular", 0, 1)
