"""Watching one job until it ends: a live display in a terminal, lines in a pipe, or JSON Lines.

Imports this package's parts; rich only for a terminal. Watching never changes the job.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ktrdr.cli.exit_codes import INTERRUPTED, JOB_CANCELLED, JOB_FAILED
from ktrdr.cli.metrics import put_metrics
from ktrdr.cli.output import is_terminal, local_time, put, put_json, say
from ktrdr.sentences import seconds_between, sentence

if TYPE_CHECKING:
    from ktrdr.api.views import EventView
    from ktrdr.client import Client

#: Of epochs that end faster than this, lines are left out.
_LINE_SECONDS = 1.0
#: Events that get no line: what ends says more than what begins, and batches are too many.
_QUIET = ("StageStarted", "BatchProgressed", "CheckpointSaved")
_ENDS = {"JobCompleted": 0, "JobFailed": JOB_FAILED, "JobCancelled": JOB_CANCELLED}


def follow_job(client: Client, job_id: str, *, as_json: bool) -> int:
    """Shows a job until it ends, and gives the exit code that says how; 130 if Ctrl-C ended the watching."""
    try:
        last = watch(client, job_id, as_json=as_json)
    except KeyboardInterrupt:
        say(f"\nno longer watching; the job goes on. Cancel it with: ktrdr jobs cancel {job_id}")
        say(f"  watch it again with: ktrdr jobs follow {job_id}")
        return INTERRUPTED
    return _conclude(last, as_json=as_json)


def watch(client: Client, job_id: str, *, as_json: bool) -> EventView:
    """Shows a job's events as they happen, and gives the last one."""
    events = client.events(job_id, follow=True, on_interruption=lambda: say("the service is away; waiting for it"))
    show: Callable[[Iterable[EventView]], Iterator[EventView]]
    if as_json:
        show = _show_json
    elif is_terminal():
        from ktrdr.cli.live import show_live as show
    else:
        show = _show_lines
    return deque(show(events), maxlen=1)[0]


def _show_json(events: Iterable[EventView]) -> Iterator[EventView]:
    for event in events:
        put_json(event)
        yield event


def _show_lines(events: Iterable[EventView]) -> Iterator[EventView]:
    told_at = ""
    for event in events:
        now = event["recorded_at"]
        is_epoch = event["type"] == "EpochFinished"
        # By the time of the events, so that a job watched afterwards is told as it was while it ran.
        is_too_soon = is_epoch and told_at and seconds_between(told_at, now) < _LINE_SECONDS
        data = event["data"]  # nothing is left to tell of what was pruned
        is_last_epoch = is_epoch and data is not None and data["epoch"] == data["epochs"]
        if data is not None and event["type"] not in _QUIET and (is_last_epoch or not is_too_soon):
            put(f"{local_time(now)}  {sentence(event)}")
            told_at = now if is_epoch else told_at
        yield event


def _conclude(last: EventView, *, as_json: bool) -> int:
    data, code = last["data"] or {}, _ENDS.get(last["type"], 0)
    if code == JOB_FAILED:
        say(f"error: the job failed: {data['message']}")
        if data["where"]:
            say(f"  at: {data['where']}")
        if data["fix"]:
            say(f"  fix: {data['fix']}")
    elif code == 0 and not as_json:
        put_metrics(data["metrics"], data["symbol_metrics"])
        say(f"  use it with: ktrdr jobs predict {last['job_id']}")
    return code
