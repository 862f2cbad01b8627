"""The service at a glance, as one value: who works on what, who waits and why, what happened last.

Imports the standard library. `look` asks the service; `Board.tell` goes on from there by its events, and says when they
change more than an event says (who waits for what, which worker is there), so that it is time to look again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ktrdr.sentences import sentence

if TYPE_CHECKING:
    from ktrdr.api.views import EventView, JobDetail, JobView, Progress
    from ktrdr.api.workers import WorkerView
    from ktrdr.client import Client

#: Of so many jobs in the queue the reason is asked for.
QUEUE_SHOWN = 10
_EVENTS_KEPT = 200
#: How many events before the first look are told.
_LOOKED_BACK = 100
#: Events that only say how far one job is: what they say is all there is to know.
_PROGRESS = ("StageStarted", "StageFinished", "BatchProgressed", "EpochFinished", "CheckpointSaved")
_QUIET = ("StageStarted", "BatchProgressed", "CheckpointSaved")


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it is shown."""

    recorded_at: str
    job_id: str
    words: str


@dataclass(slots=True)
class Board:
    """What is known of the service at one position of its log."""

    url: str
    position: int
    counts: dict[str, int]
    workers: list[WorkerView]
    running: dict[str, JobView]
    #: Those whose turn is next come first.
    queue: list[JobDetail]
    #: Validation losses of the running jobs, by epoch.
    losses: dict[str, dict[int, float]]
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    is_away: bool = False

    def tell(self, event: EventView) -> bool:
        """Takes an event in; whether it is time to look again."""
        self.position = max(self.position, event["position"])
        self.is_away = False
        kind, data, job = event["type"], event["data"], self.running.get(event["job_id"])
        if kind not in _QUIET:
            self.told.append(Told(event["recorded_at"], event["job_id"], sentence(event)))
        if kind not in _PROGRESS:
            return True
        if job is not None and data is not None:
            _go_on(job["progress"], kind, data)
            if kind == "EpochFinished":
                _add_loss(self.losses.setdefault(event["job_id"], {}), data)
        return False

    def is_as(self, other: Board) -> bool:
        """Whether another board shows the same; that a worker was heard of once more shows nowhere."""
        mine, theirs = self.document(), other.document()
        for document in (mine, theirs):
            document["workers"] = [{**one, "last_seen": None} for one in document["workers"]]
        return mine == theirs

    def document(self) -> dict[str, Any]:
        """All of it as plain data."""
        last = self.told[-1] if self.told else None
        losses = {job_id: list(by_epoch.values()) for job_id, by_epoch in self.losses.items()}
        return {
            "position": self.position,
            "is_away": self.is_away,
            "counts": self.counts,
            "workers": self.workers,
            "running": [{**job, "losses": losses.get(job["id"], [])} for job in self.running.values()],
            "queue": self.queue,
            "last_event": last and {"recorded_at": last.recorded_at, "job_id": last.job_id, "sentence": last.words},
        }


def look(client: Client, before: Board | None = None) -> Board:
    """The board as it is now; what was told before stays on it. Raises as the client does."""
    ready = client.ready()
    jobs = list(client.jobs(status=["queued", "running", "cancelling"]))
    running = {job["id"]: job for job in jobs if job["status"] != "queued"}
    waiting = sorted((job for job in jobs if job["status"] == "queued"), key=lambda job: (-job["priority"], job["id"]))
    known = before.losses if before else {}
    board = Board(
        url=client.url,
        position=max(ready.get("position", 0), before.position if before else 0),
        counts=ready.get("jobs", {}),
        workers=[one for one in client.workers() if one["state"] != "stopped"],
        running=running,
        queue=[client.job(job["id"]) for job in waiting[:QUEUE_SHOWN]],
        losses={job_id: known.get(job_id) or dict(_losses(client, job_id)) for job_id in running},
        told=before.told if before else deque(maxlen=_EVENTS_KEPT),
    )
    if before is None:
        for event in client.all_events(after=max(0, board.position - _LOOKED_BACK)):
            board.tell(event)
    return board


def _losses(client: Client, job_id: str) -> Iterator[tuple[int, float]]:
    for event in client.events(job_id):
        if event["type"] == "EpochFinished" and event["data"] is not None:
            yield event["data"]["epoch"], event["data"]["validation_loss"]


def _add_loss(losses: dict[int, float], data: dict[str, Any]) -> None:
    for later in [epoch for epoch in losses if epoch > data["epoch"]]:  # another attempt trains them again
        del losses[later]
    losses[data["epoch"]] = data["validation_loss"]


def _go_on(progress: Progress, kind: str, data: dict[str, Any]) -> None:
    match kind:
        case "StageStarted":
            progress["stage"] = data["name"]
            progress["stage_number"], progress["stage_total"] = data["number"], data["total"]
        case "BatchProgressed":
            progress["epoch"], progress["epochs"] = data["epoch"], data["epochs"]
            progress["batch"], progress["batches"] = data["batch"], data["batches"]
        case "EpochFinished":
            progress["epoch"], progress["epochs"] = data["epoch"], data["epochs"]
            progress["batch"] = progress["batches"] = 0
            progress["train_loss"], progress["validation_loss"] = data["train_loss"], data["validation_loss"]
