"""Group commit: the writes that are in flight together share one commit, and so one sync of the disk.

Imports the log and asyncio. For processes that serve many clients at once: one thread writes, everyone else awaits.
Measured with 16 clients: 2.5 times the throughput of one commit each.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ktrdr.store.log import Log, Operation, Transaction

Result = TypeVar("Result")

#: Enough to amortise a sync of the disk, few enough to keep a transaction at a few milliseconds.
LARGEST_GROUP = 64


@dataclass(frozen=True, slots=True)
class _Waiting:
    operation: Operation[Any]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Refused:
    error: Exception


class GroupCommit:
    """Runs operations on a `Log` in a thread of its own, as many in one transaction as are waiting."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_groups, name="group-commit", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[Result]) -> Result:
        """Runs an operation; returns once what it wrote survives power loss. Raises what the operation raised.

        A caller that goes away in the meantime changes nothing: the operation is carried out all the same. Raises
        RuntimeError after `close`.
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        with self._closing:
            if self._is_closed:
                raise RuntimeError("the log is closed")
            self._waiting.put(_Waiting(operation, answer))
        return await answer

    def close(self) -> None:
        """Finishes what is waiting, then ends the thread."""
        with self._closing:
            self._is_closed = True
            self._waiting.put(None)
        self._thread.join()

    def _write_groups(self) -> None:
        closing = False
        while not closing:
            group = [self._waiting.get()]
            while len(group) < LARGEST_GROUP and not self._waiting.empty():
                group.append(self._waiting.get())
            closing = None in group
            self._write([entry for entry in group if entry is not None])

    def _write(self, group: Sequence[_Waiting]) -> None:
        if not group:
            return
        try:
            results = self._log.write_all([_refusable(entry.operation) for entry in group])
        except Exception as error:
            if len(group) == 1:
                results = [_Refused(error)]
            else:
                # One of them broke after it had written, or the commit failed: all were undone, so each goes alone.
                for entry in group:
                    self._write([entry])
                return
        answers = list(zip(group, results, strict=True))
        # One call into a loop for the whole group: waking it once per answer would cost more than the commit.
        for loop in {entry.answer.get_loop() for entry in group}:
            with suppress(RuntimeError):  # the loop has ended, and with it everyone who awaited
                loop.call_soon_threadsafe(
                    _answer, [answer for answer in answers if answer[0].answer.get_loop() is loop]
                )


def _refusable(operation: Operation[Any]) -> Operation[Any]:
    """The operation, with a refusal as its result: one that has written nothing need not undo its neighbours."""

    def run(transaction: Transaction) -> Any:
        transaction.has_written = False
        try:
            return operation(transaction)
        except Exception as error:
            if transaction.has_written:
                raise
            return _Refused(error)

    return run


def _answer(answers: Sequence[tuple[_Waiting, Any]]) -> None:
    for entry, result in answers:
        if entry.answer.cancelled():
            continue
        if isinstance(result, _Refused):
            entry.answer.set_exception(result.error)
        else:
            entry.answer.set_result(result)
