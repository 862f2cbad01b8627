"""Work that needs pandas or torch, in a process of its own: the API stays small and answers meanwhile.

Imports the standard library; the functions of `ktrdr.api.heavy` are imported over there.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from ktrdr.orphans import end_with_parent
from ktrdr.problems import unavailable

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Compute:
    """One helper process, started when first needed and again if it dies."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def run(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Calls a module-level function there. Raises what it raises, and the problem `unavailable` if it dies."""
        if self._pool is None:
            # Forking a process with threads and open databases is not safe; a fresh one is.
            self._pool = ProcessPoolExecutor(
                max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent
            )
        pool = self._pool
        try:
            return await asyncio.wrap_future(pool.submit(function, *args, **kwargs))
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            raise unavailable("the process that computes predictions and reads price files ended") from None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
