"""One watcher per process: tells everyone who waits that the log has grown. Imports the store and asyncio."""

from __future__ import annotations

import asyncio
import contextlib

from ktrdr.store import Store
from ktrdr.store.doorbell import POLL_SECONDS

#: Where the kernel reports a commit, this only guards against a lost report.
_GUARD_SECONDS = 0.25


class LogWatch:
    """Wakes the waiting coroutines of this process after each commit of any process, and when the service stops."""

    def __init__(self, store: Store) -> None:
        self._reader = store.open_reader()
        self._watch = store.open_watch()
        self._changed = asyncio.Event()
        self._seen = self._reader.data_version()
        self.is_stopping = False
        for descriptor in self._watch.descriptors():
            asyncio.get_running_loop().add_reader(descriptor, self._rung)
        self._poll = asyncio.create_task(self._poll_forever())

    def next_change(self) -> asyncio.Event:
        """An event that is set at the next commit or stop. Take it before looking at the log, then wait for it."""
        return self._changed

    async def wait(self, change: asyncio.Event, seconds: float) -> bool:
        """Waits for a change that `next_change` gave; False if `seconds` passed first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await change.wait()
        return change.is_set()

    def stop(self) -> None:
        """Wakes everyone for the last time: streams and long polls end."""
        self.is_stopping = True
        self._wake()

    async def close(self) -> None:
        for descriptor in self._watch.descriptors():
            asyncio.get_running_loop().remove_reader(descriptor)
        self._poll.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._poll
        self._watch.close()
        self._reader.close()

    def _rung(self) -> None:
        self._watch.clear()
        self._wake()

    async def _poll_forever(self) -> None:
        pause = _GUARD_SECONDS if self._watch.descriptors() else POLL_SECONDS
        while True:
            await asyncio.sleep(pause)
            version = self._reader.data_version()
            if version != self._seen:
                self._seen = version
                self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
