"""What is told of one attempt while it lasts: lines of the log and, where tracing is configured, spans.

Imports jobs and the messages only. Both orchestrators hand in the same words of the job process, so an attempt reads
the same wherever it ran. Nothing here decides anything, and what is recorded of the job does not depend on it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any

from ktrdr.logs import bound
from ktrdr.spans import Span, SpanEvent, Spans, Value, span_of_job
from ktrdr.tracing import Trace, current_trace
from ktrdr.training.progress import BatchFinished, EpochFinished, Resumed, StageFinished, StageStarted
from ktrdr.worker.messages import Broke, CheckpointWritten, Ended, Said, Stopped

logger = logging.getLogger(__name__)

#: Of the epochs one in so many seconds is worth a line; the others are logged as details.
EPOCH_SECONDS = 10.0
#: As many of a stage's newest epochs are events of its span.
_SPAN_EVENTS = 128


class Account:
    """One attempt under one lease. A context, in which every line of this thread says which attempt it is about."""

    def __init__(
        self,
        spans: Spans | None,
        *,
        job_id: str,
        name: str,
        attempt: int,
        lease_epoch: int,
        worker: str,
        traceparent: str | None,
    ) -> None:
        """`name` is the strategy's, `traceparent` that of the submission."""
        self._spans = spans
        self._name = name
        self._job, _ = span_of_job(job_id, traceparent)
        #: The attempt's own place in the trace of its job: a part of the job's span.
        self.trace: Trace = self._job.child()
        self._fields: dict[str, Any] = {
            "job_id": job_id, "attempt": attempt, "lease_epoch": lease_epoch, "worker": worker,
        }  # fmt: skip
        self._within = ExitStack()
        self._started = time.time_ns()
        self._stage: StageStarted | None = None
        self._stage_started = 0
        self._events: deque[SpanEvent] = deque(maxlen=_SPAN_EVENTS)
        self._epoch_told_at = time.monotonic()
        self._has_seen_cancellation = False
        self._outcome, self._error = "given up", "the lease was lost"

    @property
    def fields(self) -> Mapping[str, Any]:
        """What every line about the attempt says, for those that the job process logs itself."""
        return dict(self._fields)

    def __enter__(self) -> Account:
        self._within.enter_context(bound(self._fields))
        before = current_trace.set(self.trace)
        self._within.callback(current_trace.reset, before)
        logger.info(
            "job %s is taken up, in trace %s: attempt %d at %s under lease %d",
            self._fields["job_id"], self.trace.trace_id, self._fields["attempt"], self._name,
            self._fields["lease_epoch"],
        )  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._record_stage({}, self._error)
        about: dict[str, Value] = {f"ktrdr.{name}": value for name, value in self._fields.items()}
        outcome: dict[str, Value] = {"ktrdr.strategy": self._name, "ktrdr.outcome": self._outcome}
        self._record(
            Span(
                name="attempt",
                trace=self.trace,
                parent=self._job.span_id,
                started=self._started,
                ended=time.time_ns(),
                attributes=about | outcome,
                error=self._error or None,
            )
        )
        self._within.close()

    def goes_on_under(self, lease_epoch: int) -> None:
        """The attempt's lease ran out and it has another."""
        self._fields["lease_epoch"] = lease_epoch

    def told(self, said: Said) -> None:
        """What the job process said."""
        match said:
            case StageStarted():
                self._stage, self._stage_started = said, time.time_ns()
                self._epoch_told_at = time.monotonic()
                logger.info("step %d of %d: %s began", said.number, said.total, said.name)
            case StageFinished():
                facts = brief(said.facts)
                took = "step %d of %d: %s took %.3f s"
                logger.info(took, said.number, said.total, said.name, said.seconds, extra={"facts": facts})
                self._record_stage({f"ktrdr.{name}": value for name, value in facts.items()}, None)
            case EpochFinished():
                self._tell_epoch(said)
            case CheckpointWritten():
                logger.info("the checkpoint of epoch %d is written", said.epoch, extra={"facts": {"bytes": said.bytes}})
                self._note("checkpoint", {"epoch": said.epoch, "bytes": said.bytes})
            case Resumed():
                how = f"goes on from the checkpoint of epoch {said.epoch}" if said.epoch else "begins at the start"
                logger.info("the training %s", how, extra={"facts": {"passed_over": len(said.passed_over)}})
                self._note("resumed", {"epoch": said.epoch})
            case BatchFinished():
                pass  # a few in a second: they are for the log of events

    def cancellation_seen(self) -> None:
        """A cancellation was requested, and is known here."""
        if not self._has_seen_cancellation:
            self._has_seen_cancellation = True
            logger.info("the cancellation is seen")
            self._note("cancellation seen", {})

    def ended(self, ended: Ended | None, status: str) -> None:
        """How the attempt ended, and what its job is now."""
        self._outcome, self._error = status, ended.message if isinstance(ended, Broke) else ""
        if isinstance(ended, Stopped):
            self.cancellation_seen()
            logger.info("job %s is %s", self._fields["job_id"], status, extra={"facts": {"where": ended.where}})
        elif isinstance(ended, Broke):
            told = "job %s is %s: %s"
            extra = {"facts": {"kind": ended.kind, "where": ended.where}}
            logger.warning(told, self._fields["job_id"], status, ended.message, extra=extra)
        else:
            logger.info("job %s is %s", self._fields["job_id"], status)

    def _tell_epoch(self, said: EpochFinished) -> None:
        now = time.monotonic()
        is_due = now - self._epoch_told_at >= EPOCH_SECONDS
        if is_due:
            self._epoch_told_at = now
        facts: dict[str, Value] = {
            name: value
            for name in ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate")
            if (value := getattr(said, name)) is not None
        }
        level = logging.INFO if is_due else logging.DEBUG
        logger.log(level, "epoch %d of %d took %.3f s", said.epoch, said.epochs, said.seconds, extra={"facts": facts})
        self._note("epoch", {"epoch": said.epoch, "seconds": said.seconds, **facts})

    def _note(self, name: str, attributes: Mapping[str, Value]) -> None:
        if self._spans is not None:
            self._events.append(SpanEvent(name=name, at=time.time_ns(), attributes=attributes))

    def _record_stage(self, facts: Mapping[str, Value], error: str | None) -> None:
        """Records the stage that is under way, if there is one, as over."""
        if self._stage is not None:
            of = self._stage
            number: dict[str, Value] = {
                "ktrdr.stage.number": of.number,
                "ktrdr.stage.total": of.total,
            }
            self._record(
                Span(
                    name=of.name,
                    trace=self.trace.child(),
                    parent=self.trace.span_id,
                    started=self._stage_started,
                    ended=time.time_ns(),
                    attributes=number | dict(facts),
                    error=error or None,
                )
            )
            self._stage = None

    def _record(self, span: Span) -> None:
        """Records a span, with the events that were noted since the one before."""
        if self._spans is not None:
            self._spans.record(replace(span, events=tuple(self._events)))
            self._events.clear()


def brief(facts: Mapping[str, Any]) -> dict[str, Value]:
    """The facts of a stage as few plain values: of a list how long it is, of counts their sum.

    The event that records the stage has them in full.
    """
    found: dict[str, Value] = {}
    scores = {name: score for name, score in facts.get("metrics", {}).items() if not isinstance(score, Mapping)}
    for name, value in (*facts.items(), *scores.items()):
        if isinstance(value, str | bool | int | float):
            found[name] = value
        elif isinstance(value, list | tuple):
            found[name] = len(value)
        elif isinstance(value, Mapping) and name != "metrics":
            count = value["samples"] if isinstance(value.get("samples"), int) else _sum(value)
            if count is not None:
                found[name] = count
    return found


def _sum(counts: Mapping[str, Any]) -> int | None:
    """The sum of everything in nested mappings; None if something there is no count."""
    total = 0
    for value in counts.values():
        count = _sum(value) if isinstance(value, Mapping) else value
        if not isinstance(count, int) or isinstance(count, bool):
            return None
        total += count
    return total
