"""A job's progress as a live display in a terminal. Imports rich, and the fold that the service itself uses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ktrdr.cli.board_picture import sparkline
from ktrdr.cli.output import STATUS_STYLES, console
from ktrdr.jobs.codec import decode
from ktrdr.jobs.events import EpochFinished, Instant, JobId, Position, Recorded
from ktrdr.jobs.state import NO_JOB, Status, evolve
from ktrdr.sentences import seconds_text, sentence, words

if TYPE_CHECKING:
    from ktrdr.api.views import EventView

_BAR_WIDTH = 36
#: Events that stay on the screen above the display.
_REMARKABLE = ("LeaseExpired", "JobRequeued", "TrainingResumed", "CancellationRequested")
_FRAMES_PER_SECOND = 8


def show_live(events: Iterable[EventView]) -> Iterator[EventView]:
    """Passes the events on and shows what they add up to; the last picture stays."""
    picture = _Picture()
    with Live(
        get_renderable=picture.render, console=console(), refresh_per_second=_FRAMES_PER_SECOND, redirect_stderr=True
    ) as live:
        for event in events:
            picture.add(event)
            if event["type"] in _REMARKABLE:
                live.console.print(Text(sentence(event), style="yellow"))
            yield event


class _Picture:
    """What is known of the job so far."""

    def __init__(self) -> None:
        self._state = NO_JOB
        self._epochs: list[EpochFinished] = []
        self._epoch_began = time.monotonic()

    def add(self, event: EventView) -> None:
        with suppress(ValueError):  # an event that a newer service knows: the picture goes on without it
            recorded = Recorded(
                position=Position(event["position"]),
                job_id=JobId(event["job_id"]),
                version=event["version"],
                at=Instant(event["recorded_at"]),
                actor=event["actor"],
                event=decode(
                    event["type"], event["schema"], "" if event["data"] is None else json.dumps(event["data"])
                ),
            )
            self._state = evolve(self._state, recorded)
            if isinstance(recorded.event, EpochFinished):
                # Another attempt trains some epochs again.
                self._epochs = [one for one in self._epochs if one.epoch < recorded.event.epoch]
                self._epochs.append(recorded.event)
                self._epoch_began = time.monotonic()

    def render(self) -> RenderableType:
        state = self._state
        if not state.version:
            return Text("…", style="dim")
        parts: list[RenderableType] = [self._heading()]
        if state.stage:
            parts.append(self._bars())
        if self._epochs:
            parts.append(_curves(self._epochs))
        return Group(*parts)

    def _heading(self) -> Text:
        state = self._state
        status = Text.assemble(
            (state.name, "bold"), f"  {', '.join(state.symbols)}  ", (str(state.status), STATUS_STYLES[state.status])
        )
        if state.status is Status.QUEUED:
            return status.append(f", waiting for a worker for {_since(state.updated_at, None)}", "dim")
        if state.worker:
            status.append(f" on {state.worker}", "dim")
        if state.attempt > 1:
            status.append(f", attempt {state.attempt} of {state.max_attempts}", "yellow")
        return status.append(f"  {_since(state.started_at, state.finished_at)}", "dim")

    def _bars(self) -> Table:
        state = self._state
        grid = Table.grid(padding=(0, 1))
        finished = state.stage_total if state.status is Status.COMPLETED else state.stage_number
        stage = f"{state.stage_number} of {state.stage_total}  {words(state.stage or '')}"
        grid.add_row("stage", _bar(finished, state.stage_total, state.status), stage)
        if state.epochs:
            within = state.batch / state.batches if state.batches and self._is_within_epoch() else 0
            done = self._epochs_done() + within
            left = "" if state.status.is_final else self._time_left(done)
            grid.add_row("epoch", _bar(done, state.epochs, state.status), f"{state.epoch} of {state.epochs}{left}")
        return grid

    def _epochs_done(self) -> int:
        return max(self._state.resumed_from, self._epochs[-1].epoch if self._epochs else 0)

    def _is_within_epoch(self) -> bool:
        return self._state.epoch > self._epochs_done()

    def _time_left(self, done: float) -> str:
        """From the last five epochs; early stopping may make it less."""
        if not self._epochs or self._state.stage != "train_model":
            return ""
        newest = self._epochs[-5:]
        pace = sum(epoch.seconds for epoch in newest) / len(newest)
        return f", at most {seconds_text(max(0.0, (self._state.epochs - done) * pace))} left"


def _bar(done: float, total: float, status: Status) -> ProgressBar:
    style = STATUS_STYLES[status]
    return ProgressBar(total=total, completed=done, width=_BAR_WIDTH, complete_style=style, finished_style=style)


def _curves(epochs: list[EpochFinished]) -> Table:
    """Train and validation beside each other, the best epoch, and the course of the validation."""
    last, best = epochs[-1], min(epochs, key=lambda epoch: epoch.validation_loss)
    grid = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right", "left", "left"):
        grid.add_column(justify=justify)
    grid.add_row("", *(Text(name, style="dim") for name in ("train", "validation", "best validation", "course")))
    losses = [epoch.validation_loss for epoch in epochs]
    best_loss = f"{best.validation_loss:.4f} in epoch {best.epoch}"
    grid.add_row(
        "loss", f"{last.train_loss:.4f}", f"{last.validation_loss:.4f}", best_loss, Text(sparkline(losses), "cyan")
    )
    accuracies = [epoch.validation_accuracy for epoch in epochs if epoch.validation_accuracy is not None]
    if accuracies and last.train_accuracy is not None and last.validation_accuracy is not None:
        grid.add_row(
            "accuracy",
            f"{last.train_accuracy:.1%}",
            f"{last.validation_accuracy:.1%}",
            f"{max(accuracies):.1%}",
            Text(sparkline(accuracies), "cyan"),
        )
    return grid


def _since(began: str | None, ended: str | None) -> str:
    if not began:
        return ""
    end = datetime.fromisoformat(ended) if ended else datetime.now(UTC)
    return seconds_text(max(0.0, (end - datetime.fromisoformat(began)).total_seconds()))
