"""Each event of a job as one sentence for people. Imports the standard library only.

Reads the API's JSON, so an event of a newer service is shown by its name rather than refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ktrdr.cli.output import seconds_text

if TYPE_CHECKING:
    from ktrdr.api.views import EventView

_OUTCOMES = {
    "not_started": "before it started",
    "stopped": "stopped on request",
    "killed": "its process did not react and was ended",
    "finished_first": "it had just finished; the model was discarded",
    "failed": "it broke after the request",
    "worker_lost": "its worker was lost after the request",
}


def sentence(event: EventView) -> str:
    """What happened, in words."""
    data: Mapping[str, Any] | None = event["data"]
    if data is None:
        return "pruned: what it said is in the archive only"
    match event["type"]:
        case "JobSubmitted":
            what = f"{data['name']} over {', '.join(data['symbols'])} ({', '.join(data['timeframes'])})"
            return f"{what} was submitted{_origin(data)}"
        case "JobClaimed":
            device = data["capabilities"].get("device", "")
            verb = "began" if data.get("continues") is None else "goes on with"
            text = f"worker {data['worker']} {verb} attempt {data['attempt']}" + (f" on {device}" if device else "")
            return f"{text}; it would rather have a GPU, but {data['fallback']}" if data.get("fallback") else text
        case "StageStarted":
            return f"stage {data['number']} of {data['total']} began: {words(data['name'])}"
        case "StageFinished":
            took = seconds_text(data["seconds"])
            return f"stage {data['number']} of {data['total']} took {took}: {words(data['name'])}"
        case "BatchProgressed":
            return f"epoch {data['epoch']} of {data['epochs']}, batch {data['batch']} of {data['batches']}"
        case "EpochFinished":
            return f"epoch {data['epoch']} of {data['epochs']}: {losses(data)}"
        case "TrainingResumed":
            return _resumed(data)
        case "CheckpointSaved":
            return f"a checkpoint of epoch {data['epoch']} was saved ({data['bytes']:,} bytes)"
        case "CancellationRequested":
            return f"{data['by']} asked to cancel it" + (f": {data['reason']}" if data["reason"] else "")
        case "JobCancelled":
            return f"cancelled: {_OUTCOMES.get(data['outcome'], data['outcome'])}{_after_request(data)}"
        case "LeaseExpired":
            return f"worker {data['worker']} was not heard of any more"
        case "JobRequeued":
            return f"back in the queue: {data['message']}"
        case "JobFailed":
            return f"failed: {data['message']}"
        case "JobCompleted":
            epochs = f"{data['epochs_trained']} epochs, the best was {data['best_epoch']}"
            return f"completed after {epochs}; model {data['model_digest'][:12]}"
    return event["type"]


def losses(data: Mapping[str, Any]) -> str:
    """Loss and, for a classification, accuracy of an epoch, train and validation."""
    text = f"loss {data['train_loss']:.4f} train, {data['validation_loss']:.4f} validation"
    if data["train_accuracy"] is None or data["validation_accuracy"] is None:
        return text
    return f"{text}; accuracy {data['train_accuracy']:.1%} train, {data['validation_accuracy']:.1%} validation"


def words(name: str) -> str:
    """`train_model` as people read it."""
    return name.replace("_", " ")


def _origin(data: Mapping[str, Any]) -> str:
    """What a job was made of, if it was made of another."""
    match data.get("relation"):
        case "retry":
            begins = data["starts_from"]
            again = f", from epoch {begins['epoch']} on" if begins and begins != data["forked_from"] else ""
            return f" as a retry of {data['parent']}{again}"
        case "fork":
            return f" as a fork of {data['parent']} from epoch {data['forked_from']['epoch']} on"
        case "counterfactual":
            return f" as a counterfactual of {data['parent']}"
    return ""


def _resumed(data: Mapping[str, Any]) -> str:
    begun = f"goes on after epoch {data['epoch']}" if data["digest"] else "begins at the start"
    passed_over = [f"the checkpoint of epoch {one['epoch']}: {one['problem']}" for one in data["passed_over"]]
    return f"the training {begun}" + (f"; could not use {'; '.join(passed_over)}" if passed_over else "")


def _after_request(data: Mapping[str, Any]) -> str:
    batches = data["batches_after_request"]
    where = f" at {words(data['where'])}" if data["where"] else ""
    return where + (f", {batches} batches after the request" if batches is not None else "")
