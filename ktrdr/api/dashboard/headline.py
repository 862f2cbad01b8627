"""A job in one sentence, as of a moment. Imports jobs only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ktrdr.jobs.events import EpochFinished, Instant
from ktrdr.jobs.state import JobState, Status
from ktrdr.sentences import OUTCOMES, counted, seconds_between, seconds_text, words

#: The time left is told from so many epochs.
_PACE_OF = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """`text`, then how long it has been so (since `since`, which may tick), then `left` seconds at most if known."""

    text: str
    #: What the seconds count: "so far", "in the queue"; empty if nothing ticks.
    ticking: str = ""
    since: Instant | None = None
    seconds: float = 0.0
    left: float | None = None
    #: What else has to be known: why it waits, or what failed.
    detail: str = ""
    fix: str = ""

    def __str__(self) -> str:
        parts = [self.text]
        if self.ticking:
            parts.append(f"{seconds_text(self.seconds)} {self.ticking}")
        if self.left is not None:
            parts.append(f"at most {seconds_text(self.left)} left")
        return ", ".join(parts)


def headline(state: JobState, epochs: Sequence[EpochFinished], *, now: Instant, waiting: str | None) -> Headline:
    """What a job does or how it ended. `epochs`: those that are finished, by number."""
    match state.status:
        case Status.QUEUED:
            since = state.updated_at or now
            text = "Back in the queue" if state.attempt else "Waiting for a worker"
            why = "; ".join(filter(None, (state.failure_message if state.attempt else None, waiting)))
            return _ticking(text, "in the queue", since, now, detail=why)
        case Status.RUNNING:
            where = _where(state)
            text = f"Running on {state.worker}, {where}"
            left = _left(state, epochs)
            return _ticking(text, "so far", state.started_at or now, now, left=left)
        case Status.CANCELLING:
            asked = f"{state.cancelled_by} asked for it" + (f": {state.cancel_reason}" if state.cancel_reason else "")
            return _ticking(f"Stopping on {state.worker}", "so far", state.started_at or now, now, detail=asked)
        case Status.COMPLETED:
            trained = counted(state.epochs_trained or 0, "epoch")
            return Headline(text=f"Completed {_took(state)}: {trained}, the best was epoch {state.best_epoch}")
        case Status.FAILED:
            where = f" ({words(state.failure_where)})" if state.failure_where else ""
            detail = f"{state.failure_message}{where}"
            return Headline(text=f"Failed {_took(state)}", detail=detail, fix=state.failure_fix or "")
        case Status.CANCELLED:
            outcome = OUTCOMES.get(state.cancel_outcome or "", state.cancel_outcome or "")
            if state.batches_after_request is not None:
                outcome += f", {state.batches_after_request} batches after the request"
            reason = f": {state.cancel_reason}" if state.cancel_reason else ""
            return Headline(
                text=f"Cancelled {_took(state)}: {outcome}", detail=f"{state.cancelled_by} asked for it{reason}"
            )


def _ticking(
    text: str, ticking: str, since: Instant, now: Instant, *, left: float | None = None, detail: str = ""
) -> Headline:
    seconds = max(0.0, seconds_between(since, now))
    return Headline(text=text, ticking=ticking, since=since, seconds=seconds, left=left, detail=detail)


def _where(state: JobState) -> str:
    if not state.stage:
        return "starting"
    if state.stage == "train_model":
        return f"epoch {max(state.epoch, 1)} of {state.epochs}" if state.epochs else "beginning to train"
    return f"{words(state.stage)}, stage {state.stage_number} of {state.stage_total}"


def _left(state: JobState, epochs: Sequence[EpochFinished]) -> float | None:
    """From the pace of the last epochs; early stopping may make it less."""
    if state.stage != "train_model" or not epochs:
        return None
    newest = epochs[-_PACE_OF:]
    pace = sum(epoch.seconds for epoch in newest) / len(newest)
    return max(0.0, (state.epochs - epochs[-1].epoch) * pace)


def _took(state: JobState) -> str:
    if not state.finished_at or not state.submitted_at:
        return ""
    if not state.started_at:
        return f"after {seconds_text(seconds_between(state.submitted_at, state.finished_at))} in the queue"
    return f"after {seconds_text(seconds_between(state.started_at, state.finished_at))}"
