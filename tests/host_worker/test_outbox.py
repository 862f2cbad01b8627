"""The outbox: numbers, batches, acknowledgements; against a service that counts as the real one does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs.job_builders import EPOCH

from host_worker.outbox import LARGEST_BYTES, LARGEST_EVENTS, Batch, Outbox
from ktrdr.jobs.events import ProgressEvent


def epochs(*numbers: int) -> list[ProgressEvent]:
    return [replace(EPOCH, epoch=number) for number in numbers]


def filled(number: int) -> Outbox:
    outbox = Outbox()
    for event in epochs(*range(number)):
        outbox.put(event)
    return outbox


def test_what_is_not_acknowledged_is_sent_again() -> None:
    outbox = filled(2)
    first = outbox.batch()
    assert first == Batch(0, tuple(epochs(0, 1)))
    outbox.put(epochs(2)[0])
    assert outbox.batch() == Batch(0, tuple(epochs(0, 1, 2)))
    outbox.acknowledge(first)
    assert outbox.batch() == Batch(2, tuple(epochs(2)))


def test_an_old_acknowledgement_that_comes_late_takes_nothing_away() -> None:
    outbox = filled(3)
    early = outbox.batch(1)
    late = outbox.batch()
    assert early is not None
    assert late is not None
    outbox.acknowledge(late)
    outbox.put(epochs(3)[0])
    outbox.acknowledge(early)
    assert outbox.batch() == Batch(3, tuple(epochs(3)))


def test_nothing_waits_in_an_empty_outbox() -> None:
    assert Outbox().batch() is None
    outbox = filled(1)
    batch = outbox.batch()
    assert batch is not None
    outbox.acknowledge(batch)
    assert outbox.batch() is None
    assert len(outbox) == 0


def test_a_batch_has_bounds() -> None:
    batch = filled(LARGEST_EVENTS + 1).batch()
    assert batch is not None
    assert len(batch.events) == LARGEST_EVENTS
    outbox = Outbox()
    for _ in range(3):
        outbox.put(replace(EPOCH, weights_digest="x" * (LARGEST_BYTES // 2)))
    batch = outbox.batch()
    assert batch is not None
    assert len(batch.events) == 1  # a second one would go beyond the limit
    outbox = Outbox()
    outbox.put(replace(EPOCH, weights_digest="x" * LARGEST_BYTES))
    assert outbox.batch() is not None  # what is too large by itself is the service's to refuse


def test_an_event_that_is_dropped_gives_its_number_to_the_next() -> None:
    outbox = filled(3)
    first = outbox.batch(1)
    assert first is not None
    outbox.acknowledge(first)
    outbox.drop_first()
    assert outbox.batch() == Batch(1, tuple(epochs(2)))


def test_an_event_that_no_log_can_hold_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="nan"):
        Outbox().put(replace(EPOCH, train_loss=float("nan")))


@given(st.lists(st.tuples(st.sampled_from(["put", "arrives", "answer lost", "request lost"]), st.integers(1, 4))))
def test_whatever_the_network_does_every_event_arrives_once_and_in_order(
    steps: list[tuple[str, int]],
) -> None:
    outbox = Outbox()
    put = 0
    recorded: list[ProgressEvent] = []

    def send(most: int, *, answer_arrives: bool) -> None:
        batch = outbox.batch(most)
        if batch is None:
            return
        assert batch.first <= len(recorded)
        recorded.extend(batch.events[len(recorded) - batch.first :])
        if answer_arrives:
            outbox.acknowledge(batch)

    for step, most in steps:
        match step:
            case "put":
                outbox.put(epochs(put)[0])
                put += 1
            case "arrives" | "answer lost":
                send(most, answer_arrives=step == "arrives")
    while len(outbox):
        send(3, answer_arrives=True)
    assert recorded == epochs(*range(put))
