"""A whole service in one process, from a seed: clients, API, schedulers, workers, and everything that goes wrong.

`simulate(seed)` tells one story to its end and raises `Violation` if anything happened that must never happen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from simulation.backends import Backend, MemoryBackend
from simulation.checker import PATIENCE, Checker
from simulation.clients import Clients
from simulation.faults import Faults
from simulation.workers import Ended, Worker, broken
from simulation.world import Beside, Connection, Process, World

from ktrdr.clock import Clock
from ktrdr.jobs import silence
from ktrdr.jobs.codec import event_data
from ktrdr.jobs.events import JobId, JobSubmitted, Recorded
from ktrdr.jobs.queue import NO_GPU_SECONDS
from ktrdr.jobs.refusals import LeaseLostError

SWEEP_SECONDS = 3.0
#: Seconds in which things go wrong, and until which every job must have ended afterwards.
TROUBLE_SECONDS, LAST_SECOND = 75.0, 900.0


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a seed."""

    log: Sequence[Recorded]
    #: The last second that was simulated.
    seconds: float


def simulate(seed: int, make_backend: Callable[[Clock], Backend] = MemoryBackend, *, is_told: bool = False) -> Told:
    """Tells the story of a seed. Raises Violation."""
    world = World(seed, is_told=is_told)
    backend = make_backend(world.wall_clock)
    try:
        service = Service(world, backend)
        service.run()
    finally:
        backend.close()
    return Told(service.checker.log, world.now)


class Service:
    """Everything that acts on one log."""

    def __init__(self, world: World, backend: Backend) -> None:
        chance = world.chance
        self.world = world
        self.backend = backend
        #: Checkpoints on the disk: digest → epoch and weights. A torn one is not there.
        self.files: dict[str, tuple[int, str]] = {}
        self._number = 0
        self._names: dict[JobId, str] = {}
        self._trainings: dict[JobId, tuple[int, int]] = {}
        self._trouble_in_training = chance.choice([0.0, 0.01, 0.04])
        self.api = Process(world, "api")
        kinds = ["local", "host", *chance.choices(["local", "host"], k=chance.randint(0, 1))]
        names = [f"{kind}{number}" for number, kind in enumerate(kinds)]
        gpu_workers = [name for name in names if chance.random() < 0.3]
        self.checker = Checker(world, backend, gpu_workers, self._hear)
        self.workers = [
            Worker(self, name, kind=kind, has_gpu=name in gpu_workers, slots=chance.randint(1, 2))
            for name, kind in zip(names, kinds, strict=True)
        ]
        self.schedulers = [Scheduler(self, f"scheduler{number}") for number in range(chance.randint(1, 2))]
        self.clients = Clients(self)
        self._faults = Faults(self)

    def run(self) -> None:
        self.world.after(TROUBLE_SECONDS, self._calm)
        self.world.run(until=LAST_SECOND, after_each=self.checker.read)
        self.checker.check_end(self.clients.submitted)

    def _hear(self, recorded: Recorded) -> None:
        """What was recorded and checked."""
        if self.world.is_told:
            self._tell(recorded)
        self.end_if_done()

    def end_if_done(self) -> None:
        """The story ends with the last job."""
        if self.checker.ended == self.clients.submitted and self.clients.are_done:
            self.world.is_over = True

    def _tell(self, recorded: Recorded) -> None:
        event = recorded.event
        facts = "" if isinstance(event, JobSubmitted) else ", ".join(f"{k}={v}" for k, v in event_data(event).items())
        self.world.tell(
            "log",
            f"{recorded.position:4} {self.short(recorded.job_id)} {type(event).__name__} {recorded.actor} {facts}",
        )

    def _calm(self) -> None:
        self.world.tell("world", "nothing goes wrong any more")
        self._trouble_in_training = 0.0
        self._faults.end()

    # What the actors ask for.

    def way_of(self, worker: Worker) -> Beside | Connection:
        if worker.kind == "local":
            return Beside()
        chance = self.world.chance
        return Connection(
            worker,
            self.api,
            loss=chance.choice([0.0, 0.05, 0.3]),
            doubling=chance.choice([0.0, 0.05, 0.3]),
            delay=chance.choice([0.05, 1.0, 6.0]),
        )

    def unique(self) -> int:
        """A number that no event has carried yet, so that no two events are equal."""
        self._number += 1
        return self._number

    def plan(self, job_id: JobId, *, epochs: int, checkpoint_every: int) -> None:
        """Says how the job will train."""
        self._names[job_id] = f"job{len(self._names) + 1}"
        self._trainings[job_id] = epochs, checkpoint_every

    def training(self, job_id: JobId) -> tuple[int, int]:
        """A job's number of epochs, and every how many of them it saves a checkpoint."""
        return self._trainings[job_id]

    def short(self, job_id: JobId) -> str:
        return self._names.get(job_id, job_id)  # a setting has its own name

    def trouble_in_training(self) -> Ended | None:
        chance = self.world.chance.random()
        if chance >= self._trouble_in_training:
            return None
        is_bad_data = chance < self._trouble_in_training / 8
        return broken("bad_data" if is_bad_data else "out_of_memory", retryable=not is_bad_data)


class Scheduler(Process):
    """Sweeps: takes leases from the silent, marks lost workers, gives up what no worker can run."""

    def __init__(self, service: Service, name: str) -> None:
        super().__init__(service.world, name)
        self._service = service
        self._begin()

    def _begin(self) -> None:
        self._leases: silence.Silence[tuple[JobId, int]] = silence.Silence(PATIENCE)
        self._workers: silence.Silence[str] = silence.Silence(PATIENCE)
        self._without_gpu: silence.Silence[int] = silence.Silence(NO_GPU_SECONDS)
        self._watches_since = self._looked_at = self.world.now
        self._sweep()

    def crash(self) -> None:
        self.die()

    def start(self) -> None:
        super().start()
        self._begin()

    def _sweep(self) -> None:
        self._sweep_leases()
        backend, now = self._service.backend, self.world.now
        beats = backend.beats()
        for name in self._workers.observe(beats, now):
            self._act(backend.mark_lost, name, beats[name])
        for position in self._without_gpu.observe(backend.waiting_without_gpu(), now):
            self._act(backend.give_up_without_gpu, position)
        self.after(self.world.chance.uniform(0.9, 1.1) * SWEEP_SECONDS, self._sweep)

    def _sweep_leases(self) -> None:
        checker, now = self._service.checker, self.world.now
        if now - self._looked_at > 2 * SWEEP_SECONDS:
            self._watches_since = now  # it was stopped
        self._looked_at = now
        renewals = self._service.backend.renewals()
        silent = self._leases.observe(renewals, now)
        for job_id, lease in renewals:
            if (job_id, lease) in silent:
                self._act(self._expire, job_id, lease, renewals[job_id, lease])
            else:
                checker.found_alive(job_id, lease, self._watches_since, PATIENCE + 2 * SWEEP_SECONDS)

    def _act(self, action: Callable[..., object], *arguments: Any) -> None:
        """Does what a look has shown to be due: at once, or after the process was held up for a while."""
        chance = self.world.chance
        self.after(chance.uniform(0.0, 30.0) if chance.random() < 0.1 else 0.0, action, *arguments)

    def _expire(self, job_id: JobId, lease: int, renewals: int) -> None:
        try:
            self._service.backend.expire(job_id, lease, renewals)
        except LeaseLostError:
            self.world.tell(self.name, f"is too late for lease {lease} of {self._service.short(job_id)}")
