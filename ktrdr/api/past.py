"""Questions about the past, which take tens of milliseconds: in a thread, so that others are answered meanwhile.

Imports the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from ktrdr.store import Store
from ktrdr.store.reader import Reader

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class Past:
    """A reader of its own for one question at a time."""

    def __init__(self, store: Store) -> None:
        self._reader = store.open_reader()
        # Held in the thread: a request that goes away leaves its question to be answered to the end.
        self._lock = Lock()

    async def ask(
        self,
        question: Callable[Concatenate[Reader, Parameters], Answer],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Answer:
        """What the question gives, asked of the reader; raises what it raises."""
        return await asyncio.to_thread(self._answer, lambda: question(self._reader, *args, **kwargs))

    def _answer(self, question: Callable[[], Answer]) -> Answer:
        with self._lock:
            return question()

    def close(self) -> None:
        """Waits for the question that is being answered."""
        with self._lock:
            self._reader.close()
