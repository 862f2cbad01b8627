"""The progress of one job in a terminal or a notebook, on stderr. Imports rich when something is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ktrdr.api.views import EventView, JobView


@contextmanager
def shown_progress(job: JobView) -> Iterator[Callable[[EventView], None]]:
    """A bar of epochs with the newest sentence beside it; give it each event. In a pipe, the sentences alone."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    from ktrdr.sentences import losses, sentence

    console = Console(file=sys.stderr, highlight=False)
    if not (console.is_terminal or console.is_jupyter):
        quiet = ("BatchProgressed", "StageStarted", "CheckpointSaved")
        yield lambda event: None if event["type"] in quiet else print(sentence(event), file=sys.stderr, flush=True)
        return
    whole = Column(no_wrap=True, overflow="fold")
    columns = (
        TextColumn("{task.description}", markup=False, table_column=whole), BarColumn(bar_width=20),
        MofNCompleteColumn(table_column=whole.copy()), TimeElapsedColumn(table_column=whole.copy()),
        TextColumn("{task.fields[now]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )  # fmt: skip
    with Progress(*columns, console=console, expand=True) as progress:
        bar = progress.add_task(job["name"], total=job["progress"]["epochs"] or None, now=job["status"])

        def show(event: EventView) -> None:
            data = event["data"]
            if event["type"] == "EpochFinished" and data is not None:
                progress.update(bar, total=data["epochs"], completed=data["epoch"], now=losses(data))
            elif event["type"] != "BatchProgressed":
                progress.update(bar, now=sentence(event))

        yield show
