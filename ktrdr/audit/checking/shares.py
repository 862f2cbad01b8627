"""Folding a whole log, a large one in several processes. Imports the store; the processes import what folding needs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from sqlalchemy import Engine

from ktrdr.audit.checking.folding import Folded, Share, fold_share
from ktrdr.orphans import end_with_parent
from ktrdr.store.database import open_engine

#: To start a process takes as long as folding so many events.
WORTH_A_PROCESS = 50_000


class FoldingEndedError(Exception):
    """A process that folded a share of the log was ended, most likely because memory ran out."""


def fold_log(
    engine: Engine,
    size: int,
    *,
    is_thorough: bool,
    progress: Callable[[int], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> Folded:
    """Folds all jobs, as `fold_share` does; does something else meanwhile.

    `progress` is called with the number of events folded so far. Raises what `fold_share` raises, and
    FoldingEndedError.
    """
    count = max(1, min(os.cpu_count() or 1, size // WORTH_A_PROCESS))
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        progress(done)

    if count == 1:
        meanwhile()
        with engine.connect() as connection:
            return fold_share(connection, Share(), size=size, is_thorough=is_thorough, progress=tell)
    started = [_start(engine, Share(number, count), size, is_thorough=is_thorough) for number in range(count)]
    try:
        meanwhile()
        return _gather([pipe for pipe, _ in started], tell)
    finally:
        for pipe, process in started:
            pipe.close()
            process.terminate()  # those that are done have ended anyway
            process.join()


def _gather(pipes: list[Pipe], tell: Callable[[int], None]) -> Folded:
    """What the processes say, until the last one has said all."""
    folded = Folded()
    while pipes:
        for pipe in wait(pipes):
            assert isinstance(pipe, Pipe)
            try:
                said = pipe.recv()
            except EOFError:
                raise FoldingEndedError("a process that folded the log was ended; is there enough memory?") from None
            if isinstance(said, int):
                tell(said)
            elif isinstance(said, Exception):
                raise said
            else:
                folded.merge(said)
                pipes.remove(pipe)
    return folded


def _start(engine: Engine, share: Share, size: int, *, is_thorough: bool) -> tuple[Pipe, SpawnProcess]:
    # Forking a process with open databases is not safe; a fresh one is.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    url = engine.url.render_as_string(hide_password=False)
    process = context.Process(target=_fold, args=(theirs, url, share, size, is_thorough), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _fold(pipe: Pipe, url: str, share: Share, size: int, is_thorough: bool) -> None:
    end_with_parent()
    with closing(pipe), open_engine(url).connect() as connection:
        try:
            pipe.send(fold_share(connection, share, size=size, is_thorough=is_thorough, progress=pipe.send))
        except Exception as error:  # whatever it is, the process that waits has to hear of it
            pipe.send(error)
