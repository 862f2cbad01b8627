"""A commit in one process wakes the others, once it is visible to them."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator

import pytest
from store_steps import start_process, submit

from ktrdr.store import Log, Store, Watch, doorbell

#: Far longer than a ring takes, so that a wait of this length means that a ring was lost.
LONG = 120
WATCH = """
import sys
from pathlib import Path
from ktrdr.store import open_store

store = open_store(Path(sys.argv[1]))
reader, watch = store.open_reader(), store.open_watch()
print("ready", flush=True)
seen = wakes = 0
while seen < 100:
    watch.clear()
    position = reader.last_position()
    if position > seen:
        seen = position
        print(seen, flush=True)
    else:
        watch.wait(60)
        wakes += 1
        assert reader.last_position() > seen, "woken before the commit was visible"
print(wakes, flush=True)
"""


@pytest.fixture
def watch(store: Store) -> Iterator[Watch]:
    watch = store.open_watch()
    yield watch
    watch.close()


def _is_rung(watch: Watch) -> bool:
    return bool(select.select(watch.descriptors(), [], [], 0)[0])


def test_a_watcher_in_another_process_is_woken_for_each_of_100_commits(store: Store, log: Log) -> None:
    with start_process(WATCH, store.home) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        for number in range(1, 101):
            submit(log)
            readable, _, _ = select.select([watcher.stdout], [], [], LONG)
            assert readable, f"the watcher slept through commit {number}"
            assert watcher.stdout.readline() == f"{number}\n"
        wakes = int(watcher.stdout.readline())
        assert wakes <= 100
    assert watcher.returncode == 0


def test_a_ring_between_looking_and_waiting_is_not_lost(store: Store, watch: Watch) -> None:
    for _ in range(50):
        watch.clear()
        store.doorbell.ring()  # after the look at the log that stands here, before the wait
        began = time.monotonic()
        watch.wait(LONG)
        assert time.monotonic() - began < LONG / 2


def test_rings_that_were_cleared_do_not_wake(store: Store, watch: Watch) -> None:
    store.doorbell.ring()
    store.doorbell.ring()
    assert _is_rung(watch)
    watch.clear()
    assert not _is_rung(watch)


def test_a_wait_without_a_ring_ends_in_time(watch: Watch) -> None:
    began = time.monotonic()
    watch.wait(0.02)
    assert 0.015 < time.monotonic() - began < LONG


def test_a_ring_wakes_one_who_waits_already(store: Store, watch: Watch) -> None:
    woken = threading.Event()

    def wait() -> None:
        watch.wait(LONG * 2)
        woken.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    store.doorbell.ring()
    assert woken.wait(LONG)
    waiter.join()


def test_a_write_that_was_undone_does_not_ring(log: Log, watch: Watch) -> None:
    watch.clear()
    with pytest.raises(ZeroDivisionError):
        log.write(lambda _transaction: 1 / 0)
    assert not _is_rung(watch)
    submit(log)
    assert _is_rung(watch)


def test_every_watch_of_a_process_is_woken(store: Store, watch: Watch) -> None:
    other = store.open_watch()
    store.doorbell.ring()
    assert _is_rung(watch)
    assert _is_rung(other)
    other.close()


def test_opening_another_watch_wakes_nobody(store: Store, watch: Watch) -> None:
    store.open_watch().close()
    assert not _is_rung(watch)


def test_where_the_kernel_cannot_watch_files_the_waiter_looks_again_soon(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "_watch", lambda _path: -1)
    watch = store.open_watch()
    watch.clear()
    began = time.monotonic()
    watch.wait(LONG)
    assert time.monotonic() - began < LONG / 2
    assert watch.descriptors() == []
    watch.close()
