"""How late the event loop is: the longest delay of a timer since it was last asked. Imports asyncio."""

from __future__ import annotations

import asyncio

PAUSE_SECONDS = 0.5


class LoopLag:
    """Measures for as long as the loop runs, twice a second."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._task = asyncio.create_task(self._measure())

    def take(self) -> float:
        """The longest delay in seconds since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest

    def stop(self) -> None:
        self._task.cancel()

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PAUSE_SECONDS
            await asyncio.sleep(PAUSE_SECONDS)
            self._longest = max(self._longest, loop.time() - due)
