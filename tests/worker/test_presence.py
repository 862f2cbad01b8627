"""A worker's word that it lives: every few seconds, at once when something changes, and never back to what was."""

from __future__ import annotations

from dataclasses import replace
from queue import SimpleQueue

import pytest
from running_service import PATIENCE_SECONDS, wait_until

from ktrdr.jobs.workers import Beat, WorkerState
from ktrdr.worker.presence import Presence

FIRST = Beat(
    name="box-7", kind="local", state=WorkerState.STARTING, host="box", pid=7, version="0.1.0", slots=2, capabilities={}
)
CPU = {"device_type": "cpu"}
FOR_EVER = 3600.0


class Listener:
    """Hears the beats; may be deaf to some of them."""

    def __init__(self, every_seconds: float = FOR_EVER) -> None:
        self._heard: SimpleQueue[Beat] = SimpleQueue()
        self.is_deaf = False
        self.every_seconds = every_seconds

    def __call__(self, said: Beat) -> float:
        self._heard.put(said)
        if self.is_deaf:
            raise OSError("no way")
        return self.every_seconds

    @property
    def count(self) -> int:
        return self._heard.qsize()

    def next(self) -> Beat:
        return self._heard.get(timeout=PATIENCE_SECONDS)

    def is_silent(self) -> bool:
        return self._heard.empty()


def test_each_change_is_told_at_once() -> None:
    listener = Listener()
    presence = Presence(FIRST, listener)
    presence.start()
    assert listener.next() == FIRST
    presence.change(WorkerState.ALIVE, CPU)
    alive = replace(FIRST, state=WorkerState.ALIVE, capabilities=CPU)
    assert listener.next() == alive
    presence.change(WorkerState.DRAINING)
    assert listener.next() == replace(alive, state=WorkerState.DRAINING)
    presence.end()
    assert listener.next() == replace(alive, state=WorkerState.STOPPED)
    assert listener.is_silent()


def test_what_is_not_new_is_not_told_again_and_no_state_comes_back() -> None:
    listener = Listener()
    presence = Presence(FIRST, listener)
    presence.start()
    presence.change(WorkerState.ALIVE, CPU)
    presence.change(WorkerState.ALIVE, CPU)  # another slot
    presence.change(WorkerState.DRAINING)
    presence.change(WorkerState.ALIVE, CPU)  # a slot that had not heard of it
    presence.end()
    states = [listener.next().state for _ in range(4)]
    assert states == ["starting", "alive", "draining", "stopped"]
    assert listener.is_silent()


def test_without_any_change_it_beats_on() -> None:
    listener = Listener(0.01)
    presence = Presence(FIRST, listener)
    presence.start()
    assert [listener.next() for _ in range(5)] == [FIRST] * 5
    presence.end()


def test_a_beat_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktrdr.worker.presence.FIRST_SECONDS", 0.01)
    listener = Listener(0.01)
    listener.is_deaf = True
    presence = Presence(FIRST, listener)
    presence.start()
    assert [listener.next() for _ in range(3)] == [FIRST] * 3
    assert "the worker could not say that it is starting: no way" in caplog.text
    presence.end()


def test_what_is_said_again_and_again_does_not_put_off_the_beat() -> None:
    listener = Listener(0.05)
    presence = Presence(FIRST, listener)
    presence.start()
    presence.change(WorkerState.ALIVE, CPU)

    def has_beaten() -> bool:
        presence.change(WorkerState.ALIVE, CPU)  # an idle slot says so four times a second
        return listener.count >= 5

    wait_until(has_beaten)
    presence.end()
