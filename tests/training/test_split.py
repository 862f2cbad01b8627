from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrdr.training.dataset import Part
from ktrdr.training.sampling import balanced_order, batches_of
from ktrdr.training.split import Split, split_rows

SHARES = (0.7, 0.15, 0.15)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rows with gaps between them, and label ends up to 60 bars ahead, in no order."""
    count = draw(st.integers(1, 400))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    rows = np.cumsum(random.integers(1, 4, count))
    return rows, rows + random.integers(0, 60, count)


@settings(max_examples=200, deadline=None)
@given(samples=samples())
def test_no_label_window_reaches_into_the_next_part_or_the_embargo(samples: tuple[np.ndarray, np.ndarray]) -> None:
    rows, ends = samples
    split = split_rows(rows, ends, SHARES)
    end_of = dict(zip(rows.tolist(), ends.tolist(), strict=True))
    first_validation, first_test = round(len(rows) * 0.7), round(len(rows) * 0.85)
    for part, border in ((split.train, first_validation), (split.validation, first_test)):
        if border >= len(rows):
            continue
        kept = set(part.tolist())
        windows = [range(row, end_of[row] + 1) for row in part.tolist()]
        embargoed = rows[max(0, border - math.ceil(len(rows) * 0.01)) : border].tolist()
        later = rows[border:].tolist()
        assert not any(bar in window for window in windows for bar in embargoed + later)
        assert not kept & set(embargoed)


def test_exactly_the_samples_that_reach_too_far_are_left_out() -> None:
    rows = np.arange(1000)
    split = split_rows(rows, rows + 5, SHARES)
    # The embargo before bar 700 begins at bar 690; the last label that ends before it is that of bar 684.
    assert split.train.tolist() == list(range(685))
    assert split.validation.tolist() == list(range(700, 835))
    assert split.test.tolist() == list(range(850, 1000))
    assert split.left_out == 30


def test_labels_that_never_look_ahead_lose_the_embargo_only() -> None:
    rows = np.arange(100)
    split = split_rows(rows, rows, SHARES)
    assert (len(split.train), len(split.validation), len(split.test)) == (69, 14, 15)


@settings(max_examples=50, deadline=None)
@given(samples=samples())
def test_parts_follow_each_other_in_time(samples: tuple[np.ndarray, np.ndarray]) -> None:
    split = split_rows(*samples, SHARES)
    joined = np.concatenate([split.train, split.validation, split.test])
    assert (np.diff(joined) > 0).all()
    assert split.left_out == len(samples[0]) - len(joined)


def test_what_an_estimate_was_made_of_stays_in_the_train_part() -> None:
    rows = np.arange(1000)
    split = split_rows(rows, rows + 5, SHARES, fitted_until=800)
    # What is left is shared by half. The embargo of ten samples begins at 790 and 890.
    assert split.train.tolist() == list(range(785))
    assert split.validation.tolist() == list(range(800, 885))
    assert split.test.tolist() == list(range(900, 1000))
    assert split_rows(rows, rows, SHARES, fitted_until=700).validation[0] == 700


@settings(max_examples=100, deadline=None)
@given(samples=samples(), share=st.floats(0, 1))
def test_no_later_part_begins_before_the_bars_of_an_estimate_end(
    samples: tuple[np.ndarray, np.ndarray], share: float
) -> None:
    rows, ends = samples
    fitted_until = int(share * rows[-1])
    split = split_rows(rows, ends, SHARES, fitted_until)
    assert all((part >= fitted_until).all() for part in (split.validation, split.test))
    joined = np.concatenate([split.train, split.validation, split.test])
    assert (np.diff(joined) > 0).all()


def test_hardly_any_samples_leave_parts_empty_without_a_crash() -> None:
    assert isinstance(split_rows(np.array([5]), np.array([9]), SHARES), Split)
    assert split_rows(np.arange(0), np.arange(0), SHARES).left_out == 0


def order(*sizes: int, seed: int = 0) -> tuple[list[slice], list[int]]:
    stops = np.cumsum(sizes)
    slices = [slice(int(stop - size), int(stop)) for stop, size in zip(stops, sizes, strict=True)]
    return slices, balanced_order(slices, torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("sizes", [(5,), (7, 7), (10, 3), (3, 10, 1), (4, 0, 9)])
def test_every_symbol_gives_as_many_draws_and_no_sample_is_left_out(sizes: tuple[int, ...]) -> None:
    slices, drawn = order(*sizes)
    draws = [sum(s.start <= i < s.stop for i in drawn) for s in slices]
    assert {count for count, size in zip(draws, sizes, strict=True) if size} == {max(sizes)}
    assert set(drawn) == set(range(sum(sizes)))


def test_no_sample_is_drawn_much_more_often_than_another_of_its_symbol() -> None:
    slices, drawn = order(10, 3)
    counts = np.bincount(drawn)[slices[1]]
    assert set(counts) <= {3, 4}


def test_symbols_are_mixed_and_the_order_depends_on_the_seed_alone() -> None:
    assert order(50, 50)[1] == order(50, 50)[1]
    assert order(50, 50)[1] != order(50, 50, seed=1)[1]
    assert min(order(50, 50)[1][:10]) < 50 <= max(order(50, 50)[1][:10])


def test_the_last_partial_batch_is_kept_and_rows_stay_together() -> None:
    features = torch.arange(20.0).reshape(10, 2)
    part = Part(features, torch.arange(10), torch.arange(10.0), {"A": slice(0, 10)}, None, None)
    batches = list(batches_of(part, torch.tensor([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]), 4))
    assert [len(batch.targets) for batch in batches] == [4, 4, 2]
    assert torch.cat([batch.targets for batch in batches]).tolist() == list(range(9, -1, -1))
    assert all((batch.features[:, 0] == 2 * batch.targets).all() for batch in batches)
    assert all((batch.weights == batch.targets).all() for batch in batches)
