"""Each event of a job as one sentence for people, and how numbers of seconds and of things are said.

Imports the standard library only: the command line and the dashboard say it the same way. Reads the API's JSON, so an
event of a newer service is shown by its name rather than refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktrdr.api.views import EventView

#: How a cancellation ended → in words.
OUTCOMES = {
    "not_started": "before it started",
    "stopped": "stopped on request",
    "killed": "its process did not react and was ended",
    "finished_first": "it had just finished; the model was discarded",
    "failed": "it broke after the request",
    "worker_lost": "its worker was lost after the request",
}


#: How a firing came about → in words.
FIRINGS = {"due": "fired in time", "catch_up": "made up", "now": "fired on request"}


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
            return f"cancelled: {OUTCOMES.get(data['outcome'], data['outcome'])}{_after_request(data)}"
        case "LeaseExpired":
            return f"worker {data['worker']} was not heard of any more"
        case "JobRequeued":
            return f"back in the queue: {data['message']}"
        case "JobFailed":
            return f"failed: {data['message']}"
        case "JobCompleted":
            epochs = f"{data['epochs_trained']} epochs, the best was {data['best_epoch']}"
            return f"completed after {epochs}; model {data['model_digest'][:12]}"
        case "ScheduleCreated" | "ScheduleChanged":
            done = "created" if event["type"] == "ScheduleCreated" else "changed"
            return f"the schedule was {done}: {timing_text(data['definition'])}"
        case "SchedulePaused":
            return "the schedule was paused" + (f": {data['reason']}" if data["reason"] else "")
        case "ScheduleResumed":
            return "the schedule goes on"
        case "ScheduleDeleted":
            return "the schedule was deleted"
        case "ScheduleFired":
            return f"{FIRINGS.get(data['how'], data['how'])} for {clock_text(data['due_at'])}: job {data['job_id']}"
        case "FiringSkipped":
            until = f" to {clock_text(data['until'])}" if data["count"] > 1 else ""
            what = f"{counted(data['count'], 'firing')} skipped, due {clock_text(data['due_at'])}{until}"
            return f"{what}: {data['detail']}"
        case "SettingChanged":
            what = "went back to its default" if data["value"] is None else f"was set to {data['value']}"
            return f"the setting {data['name']} {what}"
        case "TokenCreated":
            until = f", until {data['expires_at']}" if data["expires_at"] else ""
            return f"the token {data['name']} was made: it may {', '.join(data['scopes'])}{until}"
        case "TokenRevoked":
            return "the token was revoked" + (f": {data['reason']}" if data["reason"] else "")
    return event["type"]


def timing_text(definition: Mapping[str, Any]) -> str:
    """When a schedule is due: `0 6 * * mon-fri in Europe/Berlin`, `every 6h`."""
    if definition["every"]:
        return f"every {definition['every']}"
    return f"{definition['cron']} in {definition['timezone']}"


def clock_text(instant: str) -> str:
    """A moment of the log, to the second, in UTC."""
    return f"{instant[:10]} {instant[11:19]} UTC"


def losses(data: Mapping[str, Any]) -> str:
    """Loss and, for a classification, accuracy of an epoch, train and validation."""
    text = f"loss {data['train_loss']:.4f} train, {data['validation_loss']:.4f} validation"
    if data["train_accuracy"] is None or data["validation_accuracy"] is None:
        return text
    return f"{text}; accuracy {data['train_accuracy']:.1%} train, {data['validation_accuracy']:.1%} validation"


def words(name: str) -> str:
    """`train_model` as people read it."""
    return name.replace("_", " ")


def seconds_text(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def counted(number: int, word: str) -> str:
    """`one job`, `2 jobs`, `12,000 jobs`."""
    return f"one {word}" if number == 1 else f"{number:,} {word}s"


def seconds_between(first: str, last: str) -> float:
    """The time from one moment of the log to another."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


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
