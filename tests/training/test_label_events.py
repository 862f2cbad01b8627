"""The CUSUM filter: which bars are events, and that their labels are those of these bars."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_examples import labelled, real_prices
from training_examples import TRIPLE_BARRIER, random_walk

from ktrdr.training.labels.barriers import uniqueness
from ktrdr.training.labels.events import automatic_threshold, cusum_events


def plain_events(close: list[float], threshold: float) -> list[bool]:
    """The two sums, bar by bar."""
    events, above, below = [False] * len(close), 0.0, 0.0
    for i, (before, now) in enumerate(pairwise(close), start=1):
        change = math.log(now) - math.log(before)
        above, below = max(0.0, above + change), min(0.0, below + change)
        if below < -threshold:
            events[i], below = True, 0.0
        elif above > threshold:
            events[i], above = True, 0.0
    return events


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 300),
    volatility=st.sampled_from([0.001, 0.01, 0.3]),
    threshold=st.sampled_from([0.0001, 0.003, 0.011, 0.05, 0.6]),
)
def test_the_events_are_those_of_the_two_sums(seed: int, count: int, volatility: float, threshold: float) -> None:
    close = random_walk(count, seed=seed, volatility=volatility)["close"].to_numpy()
    assert cusum_events(close, threshold).tolist() == plain_events(close.tolist(), threshold)


@pytest.mark.parametrize("threshold", [0.001, 0.01, 0.1])
def test_the_events_of_real_prices_are_those_of_the_two_sums(threshold: float) -> None:
    close = real_prices("MSFT")["close"].to_numpy(float)
    events = cusum_events(close, threshold)
    assert events.tolist() == plain_events(close.tolist(), threshold)
    assert events.any()


@pytest.mark.parametrize(
    ("close", "events"),
    [
        ([100.0, 100.0, 100.0], []),
        ([100.0], []),
        ([100.0, 1e9, 1e-9, 1e9], [1, 2, 3]),
        # Each step is .0198 or .0202: two make an event, and the sum starts again.
        ([100.0, 102.0, 104.04, 106.12, 108.24], [2, 4]),
        ([100.0, 98.0, 96.04, 94.12, 92.24], [2, 4]),
        # A sum of one side goes on while the other starts again.
        ([100.0, 102.0, 99.0, 98.5, 105.0], [3, 4]),
    ],
)
def test_what_is_an_event(close: list[float], events: list[int]) -> None:
    assert np.flatnonzero(cusum_events(np.array(close), 0.03)).tolist() == events


def test_a_threshold_of_zero_lets_every_move_pass_and_one_that_is_unknown_none() -> None:
    close = np.array([100.0, 101.0, 101.0, 100.0])
    assert cusum_events(close, 0.0).tolist() == [False, True, False, True]
    assert not cusum_events(close, math.nan).any()


def test_an_automatic_threshold_is_a_multiple_of_the_deviation_where_it_is_fitted() -> None:
    close = random_walk(200)["close"]
    returns = [math.log(b / a) for a, b in pairwise(close.iloc[30:150])]
    threshold = automatic_threshold(close.to_numpy(), slice(30, 150), 0.5)
    assert threshold == pytest.approx(0.5 * statistics.stdev(returns))
    assert math.isnan(automatic_threshold(close.to_numpy(), slice(0, 2), 0.5))


FILTERS: list[dict[str, Any]] = [{"cusum_threshold": 0.02}, {"cusum_threshold": 0.0, "cusum_multiplier": 2.0}]


@pytest.mark.parametrize("params", FILTERS)
def test_only_events_have_a_label_and_it_is_that_of_their_own_bar(params: dict[str, Any]) -> None:
    """A known fault: labels of events in the order of the events, paired with features in the order of the bars."""
    frame = random_walk(400, seed=2)
    every = labelled(frame, "triple_barrier", **TRIPLE_BARRIER)
    filtered = labelled(frame, "triple_barrier", **TRIPLE_BARRIER, **params)
    close = frame["close"].to_numpy()
    threshold = params["cusum_threshold"] or automatic_threshold(close, slice(0, 280), params["cusum_multiplier"])
    events = np.array(plain_events(close.tolist(), threshold))
    np.testing.assert_array_equal(filtered.values, np.where(events, every.values, np.nan))
    has_label = ~np.isnan(filtered.values)
    assert 20 < has_label.sum() < 350
    np.testing.assert_array_equal(filtered.ends[has_label], every.ends[has_label])


def test_without_a_threshold_every_bar_is_a_sample() -> None:
    frame = random_walk(100)
    off = labelled(frame, "triple_barrier", **TRIPLE_BARRIER, cusum_threshold=None)
    np.testing.assert_array_equal(off.values, labelled(frame, "triple_barrier", **TRIPLE_BARRIER).values)


def test_weights_count_the_labels_of_events_only() -> None:
    frame = random_walk(400, seed=2)
    params = TRIPLE_BARRIER | {"compute_weights": True, "cusum_threshold": 0.02}
    labels = labelled(frame, "triple_barrier", **params)
    every = labelled(frame, "triple_barrier", **(params | {"cusum_threshold": None}))
    assert labels.weights is not None
    assert every.weights is not None
    np.testing.assert_array_equal(labels.weights, uniqueness(labels.values, labels.ends))
    events = np.flatnonzero(~np.isnan(labels.values))
    assert (labels.weights[events] >= every.weights[events]).all()
    assert labels.weights[events].mean() > 2 * every.weights[events].mean()
    assert (labels.weights[np.isnan(labels.values)] == 0).all()
