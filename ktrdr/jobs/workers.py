"""Workers: what each says of itself, and what is known of those that are there. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ktrdr.jobs.events import Json, Target


class WorkerState(StrEnum):
    #: Its job processes are not warm yet.
    STARTING = "starting"
    #: Takes jobs.
    ALIVE = "alive"
    #: Was told to stop; ends what it runs or gives it back.
    DRAINING = "draining"
    #: Said goodbye.
    STOPPED = "stopped"
    #: Fell silent. Only an observer says so.
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a worker process says of itself every few seconds, and whenever its state changes."""

    name: str
    #: `local` or `host`.
    kind: str
    state: WorkerState
    host: str
    pid: int
    #: Of ktrdr.
    version: str
    #: Jobs that it runs at once.
    slots: int
    #: DeviceCapabilities as plain data; empty while the worker is starting.
    capabilities: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """How much a worker takes, and has."""

    kind: str
    slots: int
    jobs: int

    @property
    def is_free(self) -> bool:
        return self.jobs < self.slots

    def serves(self, target: Target) -> bool:
        return target in (Target.AUTO, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuWorker(Worker):
    """One with a GPU that takes jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present(Worker):
    """One that takes jobs or is about to."""

    name: str
    state: WorkerState
    capabilities: Json

    @property
    def has_gpu(self) -> bool:
        return has_gpu(self.capabilities)

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}, {self.capabilities.get('device', 'unknown device')})"


def has_gpu(capabilities: Json) -> bool:
    """Whether a worker with these DeviceCapabilities computes on a GPU."""
    return bool(capabilities.get("device_type", "cpu") != "cpu")
