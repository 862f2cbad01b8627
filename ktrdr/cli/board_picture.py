"""The board as lines with styles, for a terminal and for a pipe alike. Imports this package's output."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from ktrdr.cli.output import STATUS_STYLES, local_time
from ktrdr.sentences import seconds_text, words

if TYPE_CHECKING:
    from ktrdr.api.views import JobView
    from ktrdr.api.workers import WorkerView
    from ktrdr.cli.board import Board

#: Texts with their styles, side by side.
Line = list[tuple[str, str]]

_WORKER_STYLES = {"alive": "green", "starting": "yellow", "draining": "magenta", "lost": "bold red"}
_SPARKS = "▁▂▃▄▅▆▇█"
_BAR, _SPARK = 20, 24
_SHORT_ID = 8


def picture(board: Board, height: int | None = None) -> list[Line]:
    """The lines; of the events as many as there is room for."""
    lines: list[Line] = [_heading(board), []]
    lines += _lanes(board)
    lines += [[], [("Queue", "bold cyan")], *_queue(board)]
    lines += [[], [("Events", "bold cyan")]]
    room = max(3, height - len(lines)) if height else 10
    told = list(board.told)[-room:]
    lines += [
        [(f"{local_time(one.recorded_at)[11:]}  ", "dim"), (f"{_short(one.job_id)}  ", "cyan"), (one.words, "")]
        for one in told
    ]
    return lines if told else [*lines, [("nothing has happened since this began", "dim")]]


def _heading(board: Board) -> Line:
    counts = [f"{board.counts[status]} {status}" for status in STATUS_STYLES if board.counts.get(status)]
    line: Line = [("ktrdr ", "bold"), (f"{board.url}  ", ""), (", ".join(counts) or "no jobs yet", "")]
    line.append((f"  position {board.position:,}", "dim"))
    if board.is_away:
        line.append(("  the service is away; waiting for it", "bold red"))
    return line


def _lanes(board: Board) -> Iterator[Line]:
    yield [("Workers", "bold cyan")]
    if not board.workers:
        yield [("none; start one with: ktrdr worker", "yellow")]
    shown = set()
    for worker in board.workers:
        jobs = [board.running[one["job_id"]] for one in worker["jobs"] if one["job_id"] in board.running]
        shown |= {job["id"] for job in jobs}
        yield _worker(worker, len(jobs))
        for job in jobs:
            yield [("  ", ""), *_job(board, job)]
    for job in board.running.values():
        if job["id"] not in shown:
            yield [(f"{job['worker'] or 'no worker'} ", "dim"), *_job(board, job)]


def _worker(worker: WorkerView, busy: int) -> Line:
    slots = f"{busy} of {worker['slots']} slot{'' if worker['slots'] == 1 else 's'} busy"
    state = (worker["state"], _WORKER_STYLES.get(worker["state"], ""))
    about = f"  {worker['kind']}, {worker['device'] or 'no device yet'}, {slots}"
    return [(worker["name"], "bold"), ("  ", ""), state, (about, "dim")]


def _short(stream: str) -> str:
    """The end of a job's id, which is random; what the service itself is called by, whole."""
    return stream if ":" in stream else stream[-_SHORT_ID:]


def _job(board: Board, job: JobView) -> Line:
    progress, style = job["progress"], STATUS_STYLES.get(job["status"], "")
    line: Line = [(job["id"][-_SHORT_ID:], "cyan"), (f"  {job['name']} over {', '.join(job['symbols'])}  ", "")]
    if job["status"] == "cancelling":
        line.append(("cancelling  ", style))
    if progress["epochs"] and progress["epoch"]:
        within = progress["batch"] / progress["batches"] if progress["batches"] else 1.0
        done = progress["epoch"] - 1 + within
        line.append((f"{bar(done / progress['epochs'])} ", style))
        line.append((f"epoch {progress['epoch']} of {progress['epochs']}", ""))
    elif progress["stage"]:
        line.append((f"{bar(progress['stage_number'] / max(1, progress['stage_total']))} ", style))
        line.append((f"stage {progress['stage_number']} of {progress['stage_total']}: {words(progress['stage'])}", ""))
    else:
        line.append(("starting", "dim"))
    if progress["validation_loss"] is not None:
        line.append((f"  loss {progress['validation_loss']:.4f} ", ""))
        line.append((sparkline(list(board.losses.get(job["id"], {}).values()), _SPARK), "cyan"))
    if job["attempt"] > 1:
        line.append((f"  attempt {job['attempt']} of {job['max_attempts']}", "yellow"))
    return line


def _queue(board: Board) -> Iterator[Line]:
    if not board.queue:
        yield [("empty", "dim")]
    for job in board.queue:
        waited = f"{job['name']} over {', '.join(job['symbols'])}, for {_since(job['submitted_at'])}"
        priority = f", priority {job['priority']}" if job["priority"] else ""
        reason = f": {job['waiting']}" if job["waiting"] else ""
        yield [(job["id"][-_SHORT_ID:], "cyan"), (f"  {waited}{priority}", ""), (reason, "yellow")]
    if (more := board.counts.get("queued", 0) - len(board.queue)) > 0:
        yield [(f"and {more:,} more", "dim")]


def bar(share: float) -> str:
    """A share of one as a bar of characters."""
    full = round(min(max(share, 0.0), 1.0) * _BAR)
    return "█" * full + "░" * (_BAR - full)


def sparkline(values: list[float], width: int = 32) -> str:
    """The course of the values as small bars, one for each or, of many, one for each of `width` stretches."""
    if not values:
        return ""
    if len(values) > width:
        cuts = [number * len(values) // width for number in range(width + 1)]
        values = [sum(values[low:high]) / (high - low) for low, high in pairwise(cuts)]
    low, high = min(values), max(values)
    steps = len(_SPARKS) - 1
    return "".join(_SPARKS[round((value - low) / (high - low) * steps) if high > low else 0] for value in values)


def _since(began: str | None) -> str:
    if not began:
        return ""
    return seconds_text(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds()))
