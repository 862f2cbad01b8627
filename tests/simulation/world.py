"""The simulated world: a clock, processes that can stop, die and come back, and a network that cannot be trusted.

All chance comes from one `random.Random(seed)`. Nothing reads a real clock, and nothing goes by the order of a set or
by hashes, so that a seed tells the same story every time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from ktrdr.jobs.refusals import RefusalError

_MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)


class World:
    def __init__(self, seed: int, *, is_told: bool = False) -> None:
        self.chance = Random(seed)
        #: True seconds since the beginning: what a steady clock shows.
        self.now = 0.0
        #: How far the machine's wall clock is off, in seconds.
        self.wall_error = 0.0
        self.is_told = is_told
        self.is_over = False
        self._agenda: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()

    def wall_clock(self) -> datetime:
        return _MIDNIGHT + timedelta(seconds=self.now + self.wall_error)

    def after(self, seconds: float, action: Callable[..., object], *arguments: Any) -> None:
        """Does something later. What is to be done at the same moment is done in the order in which it was said."""
        heappush(self._agenda, (self.now + seconds, next(self._numbers), action, arguments))

    def run(self, *, until: float, after_each: Callable[[], None]) -> None:
        """Lets time pass until it is over, or `is_over` was set; `after_each` looks at the world after every step."""
        agenda = self._agenda
        while not self.is_over and agenda and agenda[0][0] <= until:
            self.now, _, action, arguments = heappop(agenda)
            action(*arguments)
            after_each()

    def tell(self, who: str, text: str) -> None:
        """A line of the story. Ask `is_told` first where making the text costs time."""
        if self.is_told:
            print(f"{self.now:9.3f}  {who:<12} {text}")


class Process:
    """Something that acts by timers, can be stopped (SIGSTOP), continued, killed, and started again."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.is_alive = True
        #: Rises with every death: what was planned in an earlier life is not done.
        self.life = 0
        self._is_stopped = False
        self._held: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def after(self, seconds: float, action: Callable[..., object], *arguments: Any) -> None:
        self.world.after(seconds, self.wake, self.life, action, arguments)

    def now(self, action: Callable[..., object], *arguments: Any) -> None:
        """Does something at once, or as soon as the process goes on; a dead one does nothing."""
        self.wake(self.life, action, arguments)

    def wake(self, life: int, action: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Does something that was meant for one life of the process."""
        if life != self.life or not self.is_alive:
            return
        if self._is_stopped:
            self._held.append((action, arguments))
        else:
            action(*arguments)

    def stop(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        if self.is_alive and not self._is_stopped:
            self.world.tell(self.name, f"is stopped for {seconds:.1f} s")
            self._is_stopped = True
            self.world.after(seconds, self._go_on, self.life)

    def _go_on(self, life: int) -> None:
        if life != self.life or not self._is_stopped:
            return
        self.world.tell(self.name, "goes on")
        self._is_stopped = False
        held, self._held = self._held, []
        for action, arguments in held:
            self.wake(life, action, arguments)

    def die(self) -> None:
        self.is_alive = False
        self.life += 1
        self._is_stopped = False
        self._held = []

    def start(self) -> None:
        self.is_alive = True


Operation = Callable[[], Any]
#: What is done with an answer: a result, or the refusal.
Then = Callable[[Any], None]


def answer_to(operation: Operation) -> Any:
    try:
        return operation()
    except RefusalError as refusal:
        return refusal


class Connection:
    """The way of a worker to the service, across the network: late, lost, doubled, out of order, cut for long.

    A call is repeated until it is answered, as the host worker does it.
    """

    TIMEOUT = 4.0

    def __init__(self, worker: Process, api: Process, *, loss: float, doubling: float, delay: float) -> None:
        self._world = worker.world
        self._worker = worker
        self._api = api
        self._loss = loss
        self._doubling = doubling
        self._delay = delay
        self._cut_until = 0.0

    def cut(self, seconds: float) -> None:
        self._world.tell(self._worker.name, f"is cut off for {seconds:.1f} s")
        self._cut_until = max(self._cut_until, self._world.now + seconds)

    def heal(self) -> None:
        self._cut_until = 0.0
        self._loss = self._doubling = 0.0
        self._delay = min(self._delay, 0.05)

    def call(self, operation: Operation, then: Then, *, again: bool = True) -> None:
        """Asks the service; `then` hears the answer once. Without `again` a call that is lost is lost."""
        self._send(operation, [then], again)

    def _send(self, operation: Operation, waiting: list[Then], again: bool) -> None:
        life = self._worker.life
        copies = 2 if self._world.chance.random() < self._doubling else 1
        for _ in range(copies):
            self._carry(self._arrive, life, operation, waiting)
        if again:
            self._worker.after(self.TIMEOUT, self._look_again, operation, waiting)

    def _look_again(self, operation: Operation, waiting: list[Then]) -> None:
        if waiting:
            self._send(operation, waiting, again=True)

    def _carry(self, arrive: Callable[..., object], *arguments: Any) -> None:
        chance = self._world.chance
        if self._world.now >= self._cut_until and chance.random() >= self._loss:
            self._world.after(chance.random() * self._delay, arrive, *arguments)

    def _arrive(self, life: int, operation: Operation, waiting: list[Then]) -> None:
        self._api.now(self._handle, life, operation, waiting)

    def _handle(self, life: int, operation: Operation, waiting: list[Then]) -> None:
        self._carry(self._answer, life, self._api.life, answer_to(operation), waiting)

    def _answer(self, life: int, api_life: int, answer: Any, waiting: list[Then]) -> None:
        if api_life == self._api.life:  # an API that died in the meantime took the answer with it
            self._worker.wake(life, self._hear, (answer, waiting))

    def _hear(self, answer: Any, waiting: list[Then]) -> None:
        if waiting:
            waiting.pop()(answer)


class Beside:
    """The way of a local worker: the database itself."""

    def call(self, operation: Operation, then: Then, *, again: bool = True) -> None:
        then(answer_to(operation))

    def cut(self, seconds: float) -> None:
        """There is nothing to cut."""

    def heal(self) -> None:
        """There is nothing to heal."""
