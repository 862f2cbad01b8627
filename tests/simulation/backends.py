"""Where the simulated service keeps its log: in memory, by the pure core alone, or in the real store.

Both do what `ktrdr.store.leases` promises. The one in memory is the specification in a page: what it does beside asking
the core is to keep lists. The same seed must leave the same log in both.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL

from ktrdr.clock import Clock, to_instant
from ktrdr.files import Checkpoints, Models, Prices
from ktrdr.jobs import decide, queue
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import Instant, JobClaimed, JobEvent, JobId, Position, ProgressEvent, Recorded, ServiceEvent
from ktrdr.jobs.queue import CLASSES_THAT_NEED_GPU, Candidate, Rules, has_gpu_for, waiting_class, why_given_up
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.service.events import SettingChanged
from ktrdr.jobs.service.subjects import fold_subject, no_subject
from ktrdr.jobs.state import JobState, Status, evolve, no_job
from ktrdr.jobs.workers import Beat, GpuWorker, Present, WorkerState
from ktrdr.store import LEASE_SECONDS, Store, leases, open_store, workers
from ktrdr.store.database import open_engine
from ktrdr.store.doorbell import Doorbell
from ktrdr.store.log import Log
from ktrdr.store.service_settings import CAPS, FAIR_BY, put_setting

_NO_GPU_FIX = "start a worker on a machine with a GPU (ktrdr host-worker), or submit the job with prefer_gpu instead"
Decision = Callable[[JobState], Sequence[JobEvent]]


class Backend(Protocol):
    """What actors do to the service's data; each call is one transaction."""

    def state(self, job_id: JobId) -> JobState: ...
    def change(self, job_id: JobId, decision: Decision, actor: str) -> JobState: ...
    def claim(self, claimant: Claimant, claim_id: str) -> JobState | None: ...
    def regain(self, job_id: JobId, lease_epoch: int, claimant: Claimant) -> JobState: ...
    def renew(self, job_id: JobId, lease_epoch: int) -> None: ...
    def report_once(
        self, job_id: JobId, lease_epoch: int, progress: Sequence[ProgressEvent], first: int
    ) -> JobState: ...
    def end_once(self, job_id: JobId, lease_epoch: int, decide_end: Decision) -> JobState: ...
    def expire(self, job_id: JobId, lease_epoch: int, renewals: int) -> JobState: ...
    def renewals(self) -> Mapping[tuple[JobId, int], int]: ...
    def beat(self, said: Beat) -> None: ...
    def beats(self) -> Mapping[str, int]: ...
    def mark_lost(self, name: str, beats: int) -> bool: ...
    def waiting_without_gpu(self) -> Mapping[int, int]:
        """Positions of the submissions that require a GPU and have no worker to wait for; what they count is 0."""
        ...

    def give_up_without_gpu(self, submitted_position: int) -> JobState | None: ...
    def put_rules(self, rules: Rules) -> None: ...
    def new_events(self) -> Sequence[Recorded]:
        """What was recorded since the last call."""
        ...

    def close(self) -> None: ...


class MemoryBackend:
    """Lists and dictionaries; every rule is the core's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._log: list[Recorded] = []
        self._looked_at = 0
        self._states: dict[JobId, JobState] = {}
        self._submitted: dict[JobId, int] = {}
        self._renewals: dict[tuple[JobId, int], int] = {}
        self._claims: dict[str, JobId] = {}
        self._workers: dict[str, Beat] = {}
        self._beats: dict[str, int] = {}
        self._rules = Rules()

    def state(self, job_id: JobId) -> JobState:
        return self._states.get(job_id) or no_job(job_id)

    def change(self, job_id: JobId, decision: Decision, actor: str) -> JobState:
        state = self.state(job_id)
        return self._append(state, decision(state), actor)

    def claim(self, claimant: Claimant, claim_id: str) -> JobState | None:
        if claim_id in self._claims:
            return self._states[self._claims[claim_id]]
        said = self._workers.get(claimant.worker)
        if said is not None and said.state in (WorkerState.DRAINING, WorkerState.STOPPED):
            return None
        claimed = self._claim_next(claimant)
        if claimed is not None:
            self._claims[claim_id] = claimed.job_id
        return claimed

    def _claim_next(self, claimant: Claimant) -> JobState | None:
        waiting = [state for state in self._states.values() if state.status is Status.QUEUED]
        if not waiting:
            return None
        candidates = queue.candidates_for(
            claimant.kind,
            has_gpu=claimant.has_gpu,
            first_of_each_share=lambda waits_for: self._first_of_each_share(waiting, waits_for),
            gpu_workers=self._gpu_workers,
        )
        found = queue.choose(candidates, self._running(), self._rules)
        if found is None:
            return None
        return self.change(
            found.job_id,
            lambda state: decide.claim(state, claimant, fallback=found.fallback),
            f"worker:{claimant.worker}",
        )

    def regain(self, job_id: JobId, lease_epoch: int, claimant: Claimant) -> JobState:
        state = self.state(job_id)
        may_run = self._rules.may_run(state.share, self._running().get(state.share, 0))
        regained = decide.regain(state, lease_epoch, claimant, may_run=may_run)
        return self._append(state, regained, f"worker:{claimant.worker}")

    def renew(self, job_id: JobId, lease_epoch: int) -> None:
        if (job_id, lease_epoch) not in self._renewals:
            decide.require_lease(self.state(job_id), lease_epoch)
            raise LeaseLostError(job_id, lease_epoch, "it is not known")
        self._renewals[job_id, lease_epoch] += 1

    def report_once(self, job_id: JobId, lease_epoch: int, progress: Sequence[ProgressEvent], first: int) -> JobState:
        state = self.state(job_id)
        decide.require_lease(state, lease_epoch)
        fresh = decide.fresh(state, first, progress)
        return self._append(state, decide.report(state, lease_epoch, fresh), f"worker:{state.worker}")

    def end_once(self, job_id: JobId, lease_epoch: int, decide_end: Decision) -> JobState:
        state = self.state(job_id)
        if decide.has_settled(state, lease_epoch):
            return state
        return self._append(state, decide_end(state), f"worker:{state.worker}")

    def expire(self, job_id: JobId, lease_epoch: int, renewals: int) -> JobState:
        state = self.state(job_id)
        expired = decide.expire_lease(state, lease_epoch)
        if self._renewals.get((job_id, lease_epoch), renewals) != renewals:
            return state
        return self._append(state, expired, "scheduler")

    def renewals(self) -> Mapping[tuple[JobId, int], int]:
        return dict(self._renewals)

    def beat(self, said: Beat) -> None:
        self._workers[said.name] = said
        self._beats[said.name] = self._beats.get(said.name, 0) + 1

    def beats(self) -> Mapping[str, int]:
        living = (WorkerState.STARTING, WorkerState.ALIVE, WorkerState.DRAINING)
        return {name: self._beats[name] for name, said in self._workers.items() if said.state in living}

    def mark_lost(self, name: str, beats: int) -> bool:
        is_lost = self._beats[name] == beats
        if is_lost:
            self._workers[name] = replace(self._workers[name], state=WorkerState.LOST)
        return is_lost

    def waiting_without_gpu(self) -> Mapping[int, int]:
        present: list[Present] | None = None
        waiting: dict[int, int] = {}
        for state in self._states.values():
            if state.require_gpu and state.status is Status.QUEUED:
                present = self._present() if present is None else present
                if not has_gpu_for(present, state.target):
                    waiting[self._submitted[state.job_id]] = 0
        return waiting

    def give_up_without_gpu(self, submitted_position: int) -> JobState | None:
        state, present = self._states[self._log[submitted_position - 1].job_id], self._present()
        if state.status is not Status.QUEUED or has_gpu_for(present, state.target):
            return None
        message = why_given_up(present, state.target)
        return self._append(state, decide.give_up(state, kind="no_gpu", message=message, fix=_NO_GPU_FIX), "scheduler")

    def put_rules(self, rules: Rules) -> None:
        self._rules = rules
        for name, value in ((FAIR_BY, rules.fair_by), (CAPS, dict(rules.caps))):
            setting = fold_subject(
                (one for one in self._log if one.job_id == f"setting:{name}"), no_subject(f"setting:{name}")
            )
            self._record(setting.id, setting.version, SettingChanged(name=name, value=value), "operator")

    def new_events(self) -> Sequence[Recorded]:
        before, self._looked_at = self._looked_at, len(self._log)
        return self._log[before:] if before < self._looked_at else ()

    def close(self) -> None:
        pass

    def _append(self, state: JobState, events: Sequence[JobEvent], actor: str) -> JobState:
        before = state
        for event in events:
            state = evolve(state, self._record(state.job_id, state.version, event, actor))
            if isinstance(event, JobClaimed):
                self._renewals[state.job_id, event.lease_epoch] = 0
        if before.version == 0 and events:
            self._submitted[state.job_id] = len(self._log)
        if before.worker is not None and state.worker is None:
            self._renewals.pop((state.job_id, before.lease_epoch), None)
            self._claims = {claim: job for claim, job in self._claims.items() if job != state.job_id}
        self._states[state.job_id] = state
        return state

    def _record(self, stream: JobId, version: int, event: JobEvent | ServiceEvent, actor: str) -> Recorded:
        recorded = Recorded(
            position=Position(len(self._log) + 1),
            job_id=stream,
            version=version + 1,
            at=Instant(max(to_instant(self._clock()), self._log[-1].at if self._log else "")),
            actor=actor,
            event=event,
        )
        self._log.append(recorded)
        return recorded

    def _running(self) -> dict[str, int]:
        running: dict[str, int] = {}
        for state in self._states.values():
            if state.status in (Status.RUNNING, Status.CANCELLING):
                running[state.share] = running.get(state.share, 0) + 1
        return running

    def _first_of_each_share(self, waiting: Sequence[JobState], waits_for: str) -> Sequence[Candidate]:
        first: dict[str, Candidate] = {}
        for state in waiting:
            if waiting_class(state.target, require_gpu=state.require_gpu, prefer_gpu=state.prefer_gpu) != waits_for:
                continue
            best = first.get(state.share)
            if best is None or state.priority > best.priority:  # jobs come in the order of their submission
                first[state.share] = Candidate(
                    job_id=state.job_id,
                    priority=state.priority,
                    submitted_position=self._submitted[state.job_id],
                    share=state.share,
                )
        return list(first.values())

    def _gpu_workers(self) -> list[GpuWorker]:
        return [
            GpuWorker(kind=one.kind, slots=one.slots, jobs=one.jobs)
            for one in self._present()
            if one.state is WorkerState.ALIVE and one.has_gpu
        ]

    def _present(self) -> list[Present]:
        running = [state.worker for state in self._states.values() if state.worker is not None]
        return [
            Present(
                name=name, kind=said.kind, state=said.state, capabilities=said.capabilities, slots=said.slots,
                jobs=running.count(name),
            )
            for name, said in sorted(self._workers.items())
            if said.state in (WorkerState.STARTING, WorkerState.ALIVE)
        ]  # fmt: skip


class StoreBackend:
    """The real operations on a real SQLite file."""

    def __init__(self, clock: Clock, home: Path, empty: Path) -> None:
        """`home` becomes an installation; `empty` is the database file of one that was just made."""
        home.mkdir(parents=True)
        shutil.copy(empty, home / "ktrdr.db")
        engine = open_engine(URL.create("sqlite", database=str(home / "ktrdr.db")))
        self.store = Store(
            engine=engine,
            home=home,
            prices=Prices(home / "prices"),
            models=Models(home / "models"),
            checkpoints=Checkpoints(home / "checkpoints"),
            doorbell=Doorbell(home / "doorbell"),
            lease_seconds=LEASE_SECONDS,
        )
        self._log = Log(engine, self.store.doorbell, clock=clock)
        self._reader = self.store.open_reader()
        self._has_written = False
        self._looked_at = 0

    def _write(self, operation: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self._has_written = True
        return self._log.write(lambda transaction: operation(transaction, *arguments, **named))

    def state(self, job_id: JobId) -> JobState:
        return self._reader.job(job_id)

    def change(self, job_id: JobId, decision: Decision, actor: str) -> JobState:
        state: JobState = self._write(lambda transaction: transaction.change(job_id, decision, actor=actor))
        return state

    def claim(self, claimant: Claimant, claim_id: str) -> JobState | None:
        is_given = self._reader.has_claim(claim_id)
        if not is_given and not self._reader.has_job_for(claimant.kind, has_gpu=claimant.has_gpu):
            return None
        state: JobState | None = self._write(leases.claim_once, claimant, claim_id)
        return state

    def regain(self, job_id: JobId, lease_epoch: int, claimant: Claimant) -> JobState:
        state: JobState = self._write(leases.regain, job_id, lease_epoch, claimant)
        return state

    def renew(self, job_id: JobId, lease_epoch: int) -> None:
        self._write(leases.renew, job_id, lease_epoch)

    def report_once(self, job_id: JobId, lease_epoch: int, progress: Sequence[ProgressEvent], first: int) -> JobState:
        state: JobState = self._write(leases.report_once, job_id, lease_epoch, progress, first=first)
        return state

    def end_once(self, job_id: JobId, lease_epoch: int, decide_end: Decision) -> JobState:
        state: JobState = self._write(leases.end_once, job_id, lease_epoch, decide_end)
        return state

    def expire(self, job_id: JobId, lease_epoch: int, renewals: int) -> JobState:
        state: JobState = self._write(leases.expire, job_id, lease_epoch, renewals)
        return state

    def renewals(self) -> Mapping[tuple[JobId, int], int]:
        return self._reader.renewals()

    def beat(self, said: Beat) -> None:
        self._write(workers.beat, said)

    def beats(self) -> Mapping[str, int]:
        return self._reader.beats()

    def mark_lost(self, name: str, beats: int) -> bool:
        is_lost: bool = self._write(workers.mark_lost, name, beats)
        return is_lost

    def waiting_without_gpu(self) -> Mapping[int, int]:
        present = self._reader.present_workers()
        return {
            position: 0
            for waits_for, target in CLASSES_THAT_NEED_GPU.items()
            if not has_gpu_for(present, target)
            for position in self._reader.waiting_positions(waits_for)
        }

    def give_up_without_gpu(self, submitted_position: int) -> JobState | None:
        state: JobState | None = self._write(leases.give_up_without_gpu, submitted_position)
        return state

    def put_rules(self, rules: Rules) -> None:
        self._write(put_setting, FAIR_BY, rules.fair_by, by="operator")
        self._write(put_setting, CAPS, dict(rules.caps), by="operator")

    def new_events(self) -> Sequence[Recorded]:
        if not self._has_written:
            return ()
        self._has_written = False
        if self._reader.last_position() == self._looked_at:
            return ()  # beats and renewals are no events
        found = [row.recorded for row in self._reader.events(after=self._looked_at, limit=1000)]
        self._looked_at += len(found)
        return found

    def close(self) -> None:
        self._reader.close()
        self._log.close()
        self.store.doorbell.close()
        self.store.engine.dispose()


def make_empty_database(folder: Path) -> Path:
    """A database file with all its tables and nothing in them, to be copied: migrating takes longer than a seed."""
    store = open_store(folder)
    store.doorbell.close()
    store.engine.dispose()
    return folder / "ktrdr.db"
