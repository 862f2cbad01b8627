"""One job as a page of text. Imports this package's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrdr.cli.metrics import put_metrics
from ktrdr.cli.output import local_time, put, put_pairs
from ktrdr.sentences import losses, seconds_between, seconds_text, words

if TYPE_CHECKING:
    from ktrdr.api.views import JobDetail


def put_job(job: JobDetail) -> None:
    """What the job is, how far it is, and how it ended."""
    progress, cancellation, failure, result = job["progress"], job["cancellation"], job["failure"], job["result"]
    attempt = f"{job['attempt']} of {job['max_attempts']}" if job["attempt"] else ""
    stage = f"{progress['stage_number']} of {progress['stage_total']}: {words(progress['stage'] or '')}"
    epoch = f"{progress['epoch']} of {progress['epochs']}"
    if progress["train_loss"] is not None:
        epoch += f": {losses(progress)}"
    put_pairs(
        [
            ("job", job["id"]),
            ("status", job["status"]),
            ("strategy", job["name"]),
            ("symbols", ", ".join(job["symbols"])),
            ("timeframes", ", ".join(job["timeframes"])),
            ("labels", ", ".join(f"{key}={value}" for key, value in job["labels"].items())),
            ("seed", job["seed"]),
            ("priority", job["priority"]),
            ("share", job["share"]),
            ("target", job["target"] + _gpu_wish(job)),
            ("submitted", local_time(job["submitted_at"])),
            ("waits", job["waiting"]),
            ("started", _after(job["submitted_at"], job["started_at"], "waiting")),
            ("finished", _after(job["started_at"], job["finished_at"], "at work")),
            ("worker", job["worker"]),
            ("without a GPU", f"because {job['fallback']}" if job["fallback"] else ""),
            ("attempt", attempt),
            (job["relation"] + " of" if job["relation"] else "", job["parent"]),
            ("checkpoint", f"of epoch {job['checkpoint']['epoch']}" if job["checkpoint"] else ""),
            ("stage", stage if progress["stage"] else ""),
            ("epoch", epoch if progress["epoch"] else ""),
            ("events", f"{job['version']}, the newest at position {job['position']}"),
        ]
    )
    if cancellation:
        put_pairs(
            [
                ("cancelled by", cancellation["requested_by"]),
                ("reason", cancellation["reason"]),
                ("outcome", words(cancellation["outcome"] or "")),
                ("batches after the request", cancellation["batches_after_request"]),
            ]
        )
    if failure:
        put_pairs(
            [
                ("failure", f"{failure['message']} ({failure['kind']})"),
                ("where", failure["where"]),
                ("fix", failure["fix"]),
            ]
        )
    if result:
        put_pairs([("model", result["model_digest"]), ("weights", result["weights_digest"])])
        put(f"trained for {result['epochs_trained']} epochs; the weights are those of epoch {result['best_epoch']}")
        put_metrics(result["metrics"] or {}, result["symbol_metrics"] or {})
    for warning in job["submission"]["warnings"]:
        put(f"warning: {warning}")


def _gpu_wish(job: JobDetail) -> str:
    return ", with a GPU" if job["require_gpu"] else ", with a GPU if one is free" if job["prefer_gpu"] else ""


def _after(before: str | None, moment: str | None, doing: str) -> str:
    if not before or not moment:
        return ""
    return f"{local_time(moment)}, after {seconds_text(seconds_between(before, moment))} {doing}"
