"""Whose turn it is: which of the jobs that wait a worker gets, and why a job waits. Imports the standard library only.

Higher priorities come first. Among equal ones the share with the fewest running jobs is next, so that a thousand jobs
of one desk do not hold up one job of another; within a share, and between shares that are equally busy, the oldest.
A share that runs as many jobs as its cap allows waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ktrdr.jobs.events import JobId, Target
from ktrdr.jobs.state import JobState
from ktrdr.jobs.workers import GpuWorker, Present, WorkerState

#: The cap of every share that has none of its own.
ANY_SHARE = "*"
#: A job that requires a GPU fails once it has waited so long while no worker that could run it was alive.
NO_GPU_SECONDS = 30.0
#: More workers than these are not listed in a sentence.
_MOST_LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The first job of its share among those that wait for the same kind of worker."""

    job_id: JobId
    priority: int
    submitted_position: int
    share: str
    #: Why it would run on another device than it would rather have; empty if it would not.
    fallback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator has set; the default restricts nothing."""

    #: The label whose values are the shares; None = all jobs are one share.
    fair_by: str | None = None
    #: Share (`desk=rates`, `*` for any other) → how many of its jobs may run at once.
    caps: Mapping[str, int] = field(default_factory=dict)

    def share_of(self, labels: Mapping[str, str]) -> str:
        value = labels.get(self.fair_by) if self.fair_by else None
        return f"{self.fair_by}={value}" if value is not None else ""

    def cap_of(self, share: str) -> int | None:
        return self.caps.get(share, self.caps.get(ANY_SHARE))

    def may_run(self, share: str, running: int) -> bool:
        """Whether one more job of a share may run while so many run."""
        cap = self.cap_of(share)
        return cap is None or running < cap


def candidates_for(
    kind: str,
    *,
    has_gpu: bool,
    first_of_each_share: Callable[[str], Sequence[Candidate]],
    gpu_workers: Callable[[], Sequence[GpuWorker]],
) -> list[Candidate]:
    """The jobs among which the next one for a worker of this kind is.

    `first_of_each_share` gives those of a waiting class; `gpu_workers` is asked only where the answer matters.
    """
    candidates: list[Candidate] = []
    for waits_for in classes_for(kind, has_gpu=has_gpu):
        first = first_of_each_share(waits_for)
        if first and not has_gpu and waits_for in CLASSES_THAT_PREFER_GPU:
            fallback = why_no_gpu(gpu_workers(), CLASSES_THAT_PREFER_GPU[waits_for])
            # Without a reason a worker with a GPU is free, and will ask.
            candidates += [replace(one, fallback=fallback) for one in first] if fallback else []
        else:
            candidates += first
    return candidates


def choose(candidates: Iterable[Candidate], running: Mapping[str, int], rules: Rules) -> Candidate | None:
    """The job to run next, where `running` counts the running jobs of each share; None if none may."""
    return min(
        (one for one in candidates if rules.may_run(one.share, running.get(one.share, 0))),
        key=lambda one: (-one.priority, running.get(one.share, 0), one.submitted_position),
        default=None,
    )


def waiting_class(target: Target, *, require_gpu: bool, prefer_gpu: bool) -> str:
    """The kind of worker that a job waits for: `auto`, `host+gpu` (needs one), `local~gpu` (would rather have one)."""
    return target + ("+gpu" if require_gpu else "~gpu" if prefer_gpu else "")


def classes_for(kind: str, *, has_gpu: bool) -> Iterator[str]:
    """The waiting classes that a worker can run, whatever they would rather have."""
    for target in (kind, Target.AUTO.value):
        yield target
        yield f"{target}~gpu"
        if has_gpu:
            yield f"{target}+gpu"


def classes_beside(target: Target) -> list[str]:
    """The waiting classes whose jobs can be given a worker that a job with this target waits for."""
    kinds = (Target.LOCAL, Target.HOST) if target is Target.AUTO else (target,)
    return list(dict.fromkeys(one for kind in kinds for one in classes_for(kind, has_gpu=True)))


#: Every class of workers that a job can wait for.
WAITING_CLASSES = tuple(f"{target}{gpu}" for target in Target for gpu in ("", "~gpu", "+gpu"))
#: The waiting classes of jobs that need a GPU, each with the target of its jobs.
CLASSES_THAT_NEED_GPU = {waiting_class(target, require_gpu=True, prefer_gpu=False): target for target in Target}
#: Those of jobs that would rather have one.
CLASSES_THAT_PREFER_GPU = {waiting_class(target, require_gpu=False, prefer_gpu=True): target for target in Target}


def why_no_gpu(workers: Iterable[GpuWorker], target: Target) -> str:
    """Why no worker with a GPU can take a job with this target now; empty if one can."""
    fitting = [one for one in workers if one.serves(target)]
    if not fitting:
        return "no worker with a GPU was alive"
    return "" if any(one.is_free for one in fitting) else "every worker with a GPU was busy"


def has_gpu_for(workers: Iterable[Present], target: Target) -> bool:
    """Whether a job that requires a GPU has a worker to wait for."""
    return any(_takes(one, target, require_gpu=True) for one in workers)


def why_given_up(workers: Iterable[Present], target: Target) -> str:
    """What is said of a job that requires a GPU and has waited for one in vain."""
    alive = [str(one) for one in workers if one.state is WorkerState.ALIVE]
    known = ", ".join(alive[:_MOST_LISTED]) + (f" and {len(alive) - _MOST_LISTED} more" * (len(alive) > _MOST_LISTED))
    return f"the job requires a GPU, and for {NO_GPU_SECONDS:g} s no {_worker(target)} with one was alive; " + (
        f"alive are {known}" if alive else "no worker at all is alive"
    )


def why_it_waits(
    job: JobState, *, workers: Sequence[Present], running: Mapping[str, int], rules: Rules, before: int
) -> str:
    """Why a job in the queue is there still, in words.

    `running` counts the running jobs of each share, `before` the jobs of its share that come before it.
    """
    fitting = [one for one in workers if _takes(one, job.target, require_gpu=job.require_gpu)]
    if not fitting:
        return _no_worker(job, workers)
    if not rules.may_run(job.share, running.get(job.share, 0)):
        return f"the cap of {job.share or 'all jobs together'} ({rules.cap_of(job.share)}) is reached"
    if before:
        of_share = f" of {job.share}" if job.share else ""
        return f"one job{of_share} is before it" if before == 1 else f"{before:,} jobs{of_share} are before it"
    is_next = f"it is the next of {job.share}" if job.share else "it is next"
    if not any(one.is_free for one in fitting):
        return f"{is_next}, and every {_worker(job.target)}{' with a GPU' * job.require_gpu} is busy"
    return is_next


def _no_worker(job: JobState, workers: Sequence[Present]) -> str:
    wanted = f"no {_worker(job.target)}{' with a GPU' * job.require_gpu} is alive"
    if any(one.state is WorkerState.STARTING and one.serves(job.target) for one in workers):
        return f"{wanted} yet; one is starting"
    return f"{wanted}; without one the job fails after {NO_GPU_SECONDS:g} s" if job.require_gpu else wanted


def _takes(worker: Present, target: Target, *, require_gpu: bool) -> bool:
    is_right = worker.state is WorkerState.ALIVE and worker.serves(target)
    return is_right and (worker.has_gpu or not require_gpu)


def _worker(target: Target) -> str:
    return "worker" if target is Target.AUTO else f"{target} worker"
