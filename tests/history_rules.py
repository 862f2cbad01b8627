"""What must never happen in a log, rule by rule, each from the events alone. Used by `history_checker`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import (
    BatchProgressed,
    CancellationRequested,
    CancelOutcome,
    CheckpointSaved,
    EpochFinished,
    JobCancelled,
    JobClaimed,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobRequeued,
    JobSubmitted,
    Json,
    LeaseExpired,
    ProgressEvent,
    Pruned,
    Recorded,
    RequeueReason,
    StageFinished,
    StageStarted,
    TerminalEvent,
    TrainingResumed,
)
from ktrdr.jobs.service.subjects import is_subject_id

#: The events of one job, oldest first.
History = Sequence[Recorded]
_SCHEDULER = "scheduler"
_WITHOUT_WORKER = (CancelOutcome.NOT_STARTED, CancelOutcome.WORKER_LOST)


def check_log(log: Sequence[Recorded], *, is_over: bool = True) -> list[str]:
    """What is wrong with a log by itself."""
    histories = by_job(log)
    found = list(_order(log))
    for history in histories.values():
        if not isinstance(history[0].event, JobSubmitted):
            found.append(f"{name_of(history[0])} is the first of its job, which was never submitted")
            continue
        found += _shape(history, is_over=is_over)
        found += _leases(history)
        found += _attempts(history)
        found += _cancellation(history)
        found += _checkpoints(history)
        for run in runs(history):
            if not run.is_pruned:
                found += _progress(run)
    found += _parents(histories)
    found += _same_bits({job_id: one for job_id, one in histories.items() if isinstance(one[0].event, JobSubmitted)})
    return found


def _order(log: Sequence[Recorded]) -> Iterator[str]:
    """Positions and versions without gaps, times that never fall."""
    versions: Counter[str] = Counter()
    at = ""
    for position, recorded in enumerate(log, start=1):
        versions[recorded.job_id] += 1
        if recorded.position != position:
            yield f"{name_of(recorded)} stands at position {recorded.position}, where {position} was due"
        if recorded.version != versions[recorded.job_id]:
            yield f"{name_of(recorded)} has version {recorded.version}, where {versions[recorded.job_id]} was due"
        if recorded.at < at:
            yield f"{name_of(recorded)} was recorded at {recorded.at}, after an event of {at}"
        at = max(at, recorded.at)


def _shape(history: History, *, is_over: bool) -> Iterator[str]:
    """One beginning, one end, nothing after it."""
    end: Recorded | None = None
    for number, recorded in enumerate(history):
        if number and isinstance(recorded.event, JobSubmitted):
            yield f"{name_of(recorded)} submits a job that there is already"
        if end is not None:
            yield f"{name_of(recorded)} comes after the end of its job at position {end.position}"
        elif isinstance(recorded.event, TerminalEvent):
            end = recorded
        if isinstance(recorded.event, Pruned) and not isinstance(history[-1].event, TerminalEvent):
            yield f"{name_of(recorded)} was pruned, and its job has not ended"
    if end is None and is_over:
        yield f"job {history[0].job_id} has not ended; its last is {name_of(history[-1])}"


def _leases(history: History) -> Iterator[str]:
    """One holder at a time, and nobody else's word."""
    held: JobClaimed | None = None
    for before, recorded in pairwise(history):
        event, where = recorded.event, name_of(recorded)
        follows_loss = isinstance(before.event, LeaseExpired)
        match event:
            case JobClaimed():
                if held is not None:
                    yield f"{where}: {held.worker} still holds lease {held.lease_epoch}"
                if recorded.actor != f"worker:{event.worker}":
                    yield f"{where} is by {recorded.actor}, for {event.worker}"
                held = event
            case LeaseExpired():
                if held is None or (event.worker, event.lease_epoch) != (held.worker, held.lease_epoch):
                    yield f"{where} ends lease {event.lease_epoch} of {event.worker}, which does not run"
                if recorded.actor != _SCHEDULER:
                    yield f"{where} is by {recorded.actor}"
                held = None
            case JobRequeued(reason=RequeueReason.LEASE_EXPIRED):
                if not follows_loss or recorded.actor != _SCHEDULER:
                    yield f"{where} by {recorded.actor} follows {type_of(before.event)}"
            case JobCancelled() if held is None:
                expected = CancelOutcome.WORKER_LOST if follows_loss else CancelOutcome.NOT_STARTED
                if event.outcome != expected:
                    yield f"{where} has the outcome {event.outcome}, after {type_of(before.event)}"
            case JobFailed() if held is None and not recorded.actor.startswith("worker:"):
                pass  # in the queue, or with its worker
            case CancellationRequested() | JobSubmitted():
                pass  # by clients
            case _:
                if held is None or recorded.actor != f"worker:{held.worker}":
                    yield f"{where} is by {recorded.actor}, and {held.worker if held else 'nobody'} holds the job"
                if isinstance(event, JobCancelled) and event.outcome in _WITHOUT_WORKER:
                    yield f"{where} has the outcome {event.outcome}, and a worker had it"
                if isinstance(event, JobRequeued):
                    held = None


def _attempts(history: History) -> Iterator[str]:
    """Lease epochs that rise by one, attempts that are counted rightly and are no more than allowed."""
    submitted = _submitted(history)
    last: JobClaimed | None = None
    spent = 0
    for before, recorded in pairwise(history):
        event, where = recorded.event, name_of(recorded)
        if isinstance(event, JobRequeued):
            spent += event.reason != RequeueReason.RELEASED
        if isinstance(event, JobClaimed):
            epoch = last.lease_epoch if last else 0
            if event.lease_epoch != epoch + 1:
                yield f"{where} gives out lease {event.lease_epoch}, after {epoch}"
            if event.continues is not None:
                spent -= 1
                lost = (last.lease_epoch, last.worker) if last and _is_loss(before.event) else None
                if lost != (event.continues, event.worker):
                    yield f"{where} continues lease {event.continues}, which {event.worker} has not just lost"
            if event.attempt != spent + 1:
                yield f"{where} is attempt {event.attempt}, although {spent} were spent"
            if event.attempt > submitted.max_attempts:
                yield f"{where} is attempt {event.attempt} of at most {submitted.max_attempts}"
            last = event


def _cancellation(history: History) -> Iterator[str]:
    """At most one request, which decides the end; a receipt that names it."""
    requests = [recorded for recorded in history if isinstance(recorded.event, CancellationRequested)]
    for again in requests[1:]:
        yield f"{name_of(again)} repeats the request at version {requests[0].version}"
    for recorded in history:
        event, where = recorded.event, name_of(recorded)
        asked = [request.version for request in requests if request.version < recorded.version]
        if isinstance(event, JobCompleted | JobFailed | JobRequeued) and asked:
            yield f"{where} although a cancellation was requested at version {asked[0]}"
        if isinstance(event, JobCancelled) and [event.request_version] != asked[:1]:
            yield f"{where} names version {event.request_version} as its request, the requests are {asked}"


def _checkpoints(history: History) -> Iterator[str]:
    """Nothing goes on from a checkpoint that was not saved before."""
    for number, recorded in enumerate(history):
        event, where = recorded.event, name_of(recorded)
        if not isinstance(event, TrainingResumed):
            continue
        known = {(one["epoch"], one["digest"]) for one in _saved(before.event for before in history[:number])}
        named = [(one["epoch"], one["digest"]) for one in event.passed_over]
        if event.digest is not None:
            named.append((event.epoch, event.digest))
        elif event.epoch:
            yield f"{where} goes on after epoch {event.epoch} without a checkpoint"
        for epoch, digest in named:
            if (epoch, digest) not in known:
                yield f"{where} names a checkpoint of epoch {epoch}, {digest}, that was never saved"


@dataclass
class Run:
    """One training from its beginning: what was recorded under its lease, and under those that continue it."""

    claimed: JobClaimed
    said: list[Recorded] = field(default_factory=list)
    #: Whether some of it is not known any more.
    is_pruned: bool = False


def runs(history: History) -> list[Run]:
    """The trainings of a job, in order."""
    found: list[Run] = []
    for recorded in history:
        if isinstance(recorded.event, JobClaimed) and (recorded.event.continues is None or not found):
            found.append(Run(recorded.event))
        elif isinstance(recorded.event, ProgressEvent) and found:
            found[-1].said.append(recorded)
        elif isinstance(recorded.event, Pruned) and found:
            found[-1].is_pruned = True
    return found


def _progress(run: Run) -> Iterator[str]:
    """Stages and epochs one after the other, each once; batches within their epoch."""
    stage, under_way = 0, ""
    begun = epoch = batch = 0
    for recorded in run.said:
        where = name_of(recorded)
        match recorded.event:
            case StageStarted() as event:
                if under_way or event.number != stage + 1:
                    yield f"{where} begins stage {event.number}, after {under_way or 'the end of'} stage {stage}"
                stage, under_way = event.number, event.name
            case StageFinished() as event:
                if (event.number, event.name) != (stage, under_way):
                    yield f"{where} ends {event.name}, stage {event.number}; under way is {under_way!r}, stage {stage}"
                under_way = ""
            case TrainingResumed() as event:
                if epoch:
                    yield f"{where} comes after epoch {epoch} of the same attempt"
                begun = epoch = event.epoch
            case BatchProgressed() as event:
                if event.epoch != epoch + 1:
                    yield f"{where} is in epoch {event.epoch}, after the end of epoch {epoch}"
                elif not batch < event.batch <= event.batches:
                    yield f"{where} is batch {event.batch} of {event.batches}, after batch {batch}"
                batch = event.batch
            case EpochFinished() as event:
                if event.epoch != epoch + 1:
                    yield f"{where} ends epoch {event.epoch}, after the end of epoch {epoch}"
                epoch, batch = event.epoch, 0
            case CheckpointSaved() as event:
                if not begun <= event.epoch <= epoch:
                    yield f"{where} saves epoch {event.epoch}; the attempt began after {begun} and is at {epoch}"


def _parents(histories: Mapping[str, History]) -> Iterator[str]:
    """What a job repeats or goes on from was there before it."""
    for history in histories.values():
        submitted, where = history[0].event, name_of(history[0])
        if not isinstance(submitted, JobSubmitted) or submitted.parent is None:
            continue
        earlier = [r.event for r in histories.get(submitted.parent, ()) if r.position < history[0].position]
        if not earlier:
            yield f"{where} is a {submitted.relation} of job {submitted.parent}, which was not there before"
        elif any(given not in _saved(earlier) for given in _given(submitted)):
            yield f"{where} starts from a checkpoint that job {submitted.parent} had not saved"


def _saved(events: Iterable[JobEvent]) -> Iterator[Json]:
    """The checkpoints that a job had: those that it was submitted with, and its own."""
    for event in events:
        if isinstance(event, JobSubmitted):
            yield from _given(event)
        elif isinstance(event, CheckpointSaved):
            yield {"epoch": event.epoch, "digest": event.digest}


def _given(submitted: JobSubmitted) -> list[Json]:
    """The checkpoints that a job was submitted with."""
    return [one for one in (submitted.starts_from, submitted.forked_from) if one is not None]


def _same_bits(histories: Mapping[str, History]) -> Iterator[str]:
    """Equal trainings give equal weights after every epoch, and equal models, whoever does them and however often."""
    first: dict[tuple[str, str], tuple[str, Recorded]] = {}
    for history in histories.values():
        for what, thing, digest, recorded in _digests(history):
            known, other = first.setdefault((what, thing), (digest, recorded))
            if digest != known:
                yield f"{name_of(recorded)}: {thing} {digest}; of the same training, {name_of(other)} has {known}"


def _digests(history: History) -> Iterator[tuple[str, str, str, Recorded]]:
    """(what was trained, the thing, its digest, where it is said) for everything that a training has given."""
    what = ""
    for run in runs(history):
        what = _training(_submitted(history), run.claimed)
        for said in run.said:
            if isinstance(said.event, EpochFinished):
                yield what, f"weights after epoch {said.event.epoch}", said.event.weights_digest, said
    if isinstance(end := history[-1].event, JobCompleted):
        yield what, "model", end.model_digest, history[-1]
        yield what, "weights of the model", end.weights_digest, history[-1]


def _training(submitted: JobSubmitted, claimed: JobClaimed) -> str:
    """What may decide the bits of a training. Not the checkpoint that it starts from: that saves time only."""
    return dumps(
        {
            "strategy": submitted.strategy,
            "prices": list(submitted.prices),
            "context": list(submitted.context),
            "seed": submitted.seed,
            "forked_from": submitted.forked_from,
            "device": claimed.capabilities.get("device_type"),
            "numeric_profile": claimed.numeric_profile,
        }
    )


def by_job(log: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """The events of each job; those of the service's settings and so on are of none."""
    histories: defaultdict[str, list[Recorded]] = defaultdict(list)
    for recorded in log:
        if not is_subject_id(recorded.job_id):
            histories[recorded.job_id].append(recorded)
    return histories


def _submitted(history: History) -> JobSubmitted:
    event = history[0].event
    assert isinstance(event, JobSubmitted)
    return event


def type_of(event: object) -> str:
    if isinstance(event, Pruned):
        return event.type
    return type(event).__name__ if event is not None else "nothing"


def name_of(recorded: Recorded) -> str:
    return f"event {recorded.position} ({type_of(recorded.event)}, version {recorded.version} of job {recorded.job_id})"


def _is_loss(event: JobEvent) -> bool:
    return isinstance(event, JobRequeued) and event.reason == RequeueReason.LEASE_EXPIRED
