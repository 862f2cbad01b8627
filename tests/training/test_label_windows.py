"""What a label depends on: no bar after its end, and no part of the data that it is not estimated on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_examples import REGIME, SOURCES, changing_volatility, labelled
from training_examples import CPU, TRIPLE_BARRIER, make_specification, make_strategy, make_training, random_walk

from ktrdr.training.labels import BarLabels
from ktrdr.training.pipeline import TrainingPipeline
from ktrdr.training.split import split_rows
from ktrdr.training.strategy.model import Labels

SHARES = (0.7, 0.15, 0.15)
every_source = pytest.mark.parametrize(("source", "params"), SOURCES)
fitted_source = pytest.mark.parametrize(
    ("source", "params"), [("triple_barrier", TRIPLE_BARRIER | {"cusum_threshold": 0.0}), ("regime", REGIME)]
)


# --- the end of a label ---


@every_source
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), volatility=st.sampled_from([0.002, 0.01, 0.05]))
def test_a_label_depends_on_no_bar_after_its_end(
    source: str, params: dict[str, Any], seed: int, volatility: float
) -> None:
    """With everything after its end replaced by another future, or cut off, each label stays as it was.

    Cut off, the last bars of some sources have no label; a label that is there is the same.
    """
    frame = random_walk(160, seed=seed)
    future = random_walk(160, seed=seed + 1, volatility=volatility)
    fit_on = slice(0, 40)
    labels = labelled(frame, source, fit_on, **params)
    for end in range(40, 160, 17):
        known = np.flatnonzero((labels.ends <= end) & ~np.isnan(labels.values))
        changed = labelled(pd.concat([frame.iloc[: end + 1], future.iloc[end + 1 :]]), source, fit_on, **params)
        np.testing.assert_array_equal(changed.values[known], labels.values[known])
        cut = labelled(frame.iloc[: end + 1], source, fit_on, **params).values
        known = known[~np.isnan(cut[known])]
        np.testing.assert_array_equal(cut[known], labels.values[known])
        assert (
            source not in ("zigzag", "regime") or len(known) == ((labels.ends <= end) & ~np.isnan(labels.values)).sum()
        )


@every_source
def test_a_label_depends_on_the_bar_at_its_end(source: str, params: dict[str, Any]) -> None:
    """Ends are no later than they must be, or purging would cost samples: bars that have no effect do not count.

    Of all labels some change with the bar at their end, which an end that always lay a bar too late would not show.
    """
    frame = random_walk(300, seed=3)
    labels = labelled(frame, source, slice(0, 40), **params)
    changes = 0
    for end in range(60, 299):
        with_end = np.flatnonzero((labels.ends == end) & ~np.isnan(labels.values))
        for factor in (0.7, 1.4) if len(with_end) else ():
            changed = frame.copy()
            changed.iloc[end, :4] *= factor
            again = labelled(changed, source, slice(0, 40), **params)
            changes += int((again.values[with_end] != labels.values[with_end]).any())
    assert changes > 2


@every_source
def test_an_end_lies_at_or_after_its_bar_and_within_the_series(source: str, params: dict[str, Any]) -> None:
    labels = labelled(random_walk(300), source, **params)
    assert (labels.ends >= np.arange(300)).all()
    assert (labels.ends < 300).all()


# --- purging ---


@every_source
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_label_of_a_part_depends_on_a_bar_of_the_next_part_or_the_embargo(
    source: str, params: dict[str, Any], seed: int
) -> None:
    labels = labelled(random_walk(1500, seed=seed), source, **params)
    rows = np.flatnonzero(~np.isnan(labels.values))
    split = split_rows(rows, labels.ends[rows], SHARES, labels.fitted_until)
    assert len(split.train) > 0
    assert len(split.validation) > 0
    for part, following in ((split.train, split.validation), (split.validation, split.test)):
        seen = {bar for row in part for bar in range(row, labels.ends[row] + 1)}
        embargo = rows[rows < following[0]][-int(np.ceil(len(rows) * 0.01)) :]
        assert not seen & set(following)
        assert not seen & set(embargo)


# --- estimates ---


@fitted_source
def test_no_bar_that_an_estimate_was_made_of_is_in_a_later_part(source: str, params: dict[str, Any]) -> None:
    """Most events come early: by their number alone the train part would end before the bars that it is a share of."""
    frame = changing_volatility((700, 0.03), (800, 0.015))
    labels = labelled(frame, source, slice(0, 1050), **params)
    rows = np.flatnonzero(~np.isnan(labels.values))
    split = split_rows(rows, labels.ends[rows], SHARES, labels.fitted_until)
    assert labels.fitted_until == 1050
    assert split.validation[0] >= 1050


@fitted_source
def test_a_parameter_of_the_file_is_not_estimated(source: str, params: dict[str, Any]) -> None:
    plain = labelled(random_walk(300), "triple_barrier", **TRIPLE_BARRIER, cusum_threshold=0.01)
    assert plain.fitted_until == 0
    assert labelled(random_walk(300), source, **params).fitted_until == 210


def pipeline_labels(frame: pd.DataFrame, source: Any, params: dict[str, Any], start: datetime | None) -> BarLabels:
    training = make_training(labels=Labels(source=source, params=params))
    strategy = make_strategy(training=training, start=start)
    return TrainingPipeline(make_specification(strategy), CPU).generate_labels({"AAA": {"1h": frame}})["AAA"].of_bars


@fitted_source
@pytest.mark.parametrize("first", [0, 100])
def test_the_pipeline_estimates_on_the_train_part_of_the_bars_from_the_start_on(
    source: str, params: dict[str, Any], first: int
) -> None:
    frame = changing_volatility((60, 0.005), (350, 0.01), (190, 0.02))
    start = frame.index[first].to_pydatetime() if first else None
    fit_on = slice(first, first + int((600 - first) * 0.7))
    labels = pipeline_labels(frame, source, params, start)
    expected = labelled(frame, source, fit_on, **params)
    np.testing.assert_array_equal(labels.values, expected.values)
    assert labels.fitted_until == fit_on.stop
    elsewhere = labelled(frame, source, slice(0, 50), **params)
    assert not np.array_equal(elsewhere.values, expected.values, equal_nan=True)


@fitted_source
def test_prices_after_the_train_part_change_no_label_of_the_train_part(source: str, params: dict[str, Any]) -> None:
    """Estimates on all bars, a known fault, would."""
    frame, changed = (changing_volatility((700, 0.01), (300, volatility)) for volatility in (0.002, 0.05))
    before, after = (pipeline_labels(f, source, params, None) for f in (frame, changed))
    known = (before.ends < 700) & ~np.isnan(before.values)
    assert known.sum() > 100
    np.testing.assert_array_equal(after.values[known], before.values[known])
