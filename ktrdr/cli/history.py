"""A job's events told shortly: stretches of stages and of epochs in one line each. Imports this package's parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from ktrdr.cli.output import put_table
from ktrdr.sentences import seconds_between, sentence, words

if TYPE_CHECKING:
    from ktrdr.api.views import EventView

_STRETCHES = {
    "StageStarted": "stages",
    "StageFinished": "stages",
    "BatchProgressed": "epochs",
    "EpochFinished": "epochs",
    "CheckpointSaved": "epochs",
}


def put_history(events: Sequence[EventView]) -> None:
    """Positions, the seconds since the submission, and what happened."""
    began = events[0]["recorded_at"]
    rows = []
    for _, group in groupby(events, key=lambda event: _STRETCHES.get(event["type"], str(event["position"]))):
        stretch = list(group)
        first, last = stretch[0], stretch[-1]
        positions = str(first["position"])
        if len(stretch) > 1:
            positions += f"-{last['position']}"
        rows.append((positions, f"+{seconds_between(began, last['recorded_at']):.2f} s", _told(stretch)))
    put_table(("events", "time", "what happened"), rows)


def _told(stretch: Sequence[EventView]) -> str:
    kind = _STRETCHES.get(stretch[0]["type"])
    known = [event["data"] for event in stretch if event["data"] is not None]
    if pruned := len(stretch) - len(known):
        return f"{kind}: {pruned} of {len(stretch)} events were pruned"
    if kind == "stages":
        first, last = known[0], known[-1]
        return (
            f"stages {first['number']} to {last['number']} of {last['total']}: "
            f"{words(first['name'])} to {words(last['name'])}"
        )
    losses = list(_validation_losses(stretch))
    if kind == "epochs" and losses:
        return f"{len(losses)} epochs: validation loss from {losses[0]:.4f} to {losses[-1]:.4f}, best {min(losses):.4f}"
    return sentence(stretch[0])


def _validation_losses(events: Iterable[EventView]) -> Iterable[float]:
    return (
        event["data"]["validation_loss"]
        for event in events
        if event["type"] == "EpochFinished" and event["data"] is not None
    )
