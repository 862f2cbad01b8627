"""What goes wrong in the simulated world, at times and in places that the seed chooses.

Each seed chooses which kinds of faults there are at all: a world in which everything breaks all the time never gets
far enough to show what a single fault does late in a job's life.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.workers import Worker
from simulation.world import Process

if TYPE_CHECKING:
    from simulation.service import Scheduler, Service


class Faults:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._world = service.world
        self._chance = chance = service.world.chance
        kinds = [
            self._crash_worker, self._crash_child, self._stop_worker, self._drain_worker, self._cut_network,
            self._crash_api, self._stop_api, self._crash_scheduler, self._stop_scheduler, self._step_wall_clock,
            self._tear_checkpoint,
        ]  # fmt: skip
        self._kinds = [kind for kind in kinds if chance.random() < 0.45]
        self._pause = chance.choice([3.0, 8.0, 20.0])
        self._is_over = False
        self._plan()

    def _plan(self) -> None:
        self._world.after(self._chance.expovariate(1 / self._pause), self._strike)

    def _strike(self) -> None:
        if not self._is_over:
            if self._kinds:
                self._chance.choice(self._kinds)()
            self._plan()

    def end(self) -> None:
        """Everything is started again and works from now on; what is stopped goes on by itself."""
        self._is_over = True
        service = self._service
        for process in (service.api, *service.schedulers, *service.workers):
            self._start(process)
        for worker in service.workers:
            worker.way.heal()

    def _start(self, process: Process) -> None:
        if not process.is_alive:
            self._world.tell(process.name, "is started again")
            process.start()

    def _start_later(self, process: Process, longest: float) -> None:
        self._world.after(self._chance.uniform(0.1, longest), self._start, process)

    def _worker(self) -> Worker:
        return self._chance.choice(self._service.workers)

    def _scheduler(self) -> Scheduler:
        return self._chance.choice(self._service.schedulers)

    def _crash_worker(self) -> None:
        worker = self._worker()
        self._world.tell(worker.name, "is killed, and its children with it")
        worker.crash()
        self._start_later(worker, 40.0)

    def _crash_child(self) -> None:
        if attempts := self._worker().attempts:
            child = self._chance.choice(attempts).child
            self._world.tell(child.name, "is killed")
            child.crash()

    def _stop_worker(self) -> None:
        self._worker().stop(self._chance.choice([2.0, 12.0, 20.0, 45.0]))

    def _drain_worker(self) -> None:
        worker = self._worker()
        worker.now(worker.drain)

    def _cut_network(self) -> None:
        self._worker().way.cut(self._chance.choice([3.0, 17.0, 30.0, 60.0]))

    def _crash_api(self) -> None:
        api = self._service.api
        self._world.tell(api.name, "is killed, with its memory")
        api.die()
        self._start_later(api, 30.0)

    def _stop_api(self) -> None:
        self._service.api.stop(self._chance.choice([2.0, 20.0]))

    def _crash_scheduler(self) -> None:
        scheduler = self._scheduler()
        self._world.tell(scheduler.name, "is killed")
        scheduler.crash()
        self._start_later(scheduler, 20.0)

    def _stop_scheduler(self) -> None:
        self._scheduler().stop(self._chance.choice([2.0, 20.0]))

    def _step_wall_clock(self) -> None:
        step = self._chance.choice([-3600.0, -30.0, 30.0, 3600.0])
        self._world.tell("world", f"the wall clock steps by {step:g} s")
        self._world.wall_error += step

    def _tear_checkpoint(self) -> None:
        if self._service.files:
            digest = self._chance.choice([*self._service.files])
            self._world.tell("world", f"{digest} is torn")
            del self._service.files[digest]
