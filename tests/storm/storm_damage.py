"""What breaks in a storm, and how it is made whole again.

A damage is done to one part at a time, and repaired by itself a moment later; a part that is being repaired is left
alone. Nothing here waits: `step` does what is due now.
"""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx2
from broken_network import BrokenNetwork
from processes import children, go_on
from running_service import RunningService, wait_until

WORKERS, HOST_WORKERS = ("worker-1", "worker-2"), ("host-worker-1", "host-worker-2")
#: From one damage to the next, on average. (A worker that starts needs three seconds of a processor.)
_PAUSE_SECONDS = 1.5
_LONGEST_START_SECONDS = 240.0
_LONGEST_STOP_SECONDS = 20.0


class Damage:
    """All parts of an installation, and what is wrong with them at the moment."""

    def __init__(self, service: RunningService, random: Random) -> None:
        self._service = service
        self._random = random
        self._networks = {name: BrokenNetwork(service.port) for name in HOST_WORKERS}
        #: Parts and networks that something is wrong with.
        self._broken: set[str] = set()
        self._repairs: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._frozen: set[int] = set()
        self._next = 0.0
        self._kinds: dict[Callable[[], str | None], int] = {
            self._kill_worker: 4,
            self._kill_child: 3,
            self._kill_api: 2,
            self._kill_scheduler: 1,
            self._stop_orderly: 3,
            self._freeze_worker: 3,
            self._freeze_child: 1,
            self._break_network: 6,
        }
        #: How often each kind of damage was done.
        self.done: Counter[str] = Counter()
        #: What a part did that it must not do.
        self.surprises: list[str] = []

    def start(self) -> None:
        """Starts every part, and returns once all workers take jobs."""
        self._start("serve")
        self._service.wait_until_serving()
        for name in ("scheduler", *WORKERS, *HOST_WORKERS):
            self._start(name)
        workers = len(WORKERS + HOST_WORKERS)
        wait_until(
            lambda: [one["state"] for one in self._service.client.workers()] == ["alive"] * workers,
            seconds=_LONGEST_START_SECONDS,
        )
        self._next = time.monotonic()

    def step(self, *, is_calm: bool) -> None:
        """Repairs what is due and, unless it is calm, damages something now and then."""
        now = time.monotonic()
        for _ in range(len(self._repairs)):
            if is_calm or self._repairs[0][0] <= now:
                heapq.heappop(self._repairs)[2]()
        self._look_for_deaths()
        if not is_calm and now >= self._next:
            self._next = now + self._random.expovariate(1 / _PAUSE_SECONDS)
            damage = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
            if (what := damage()) is not None:
                self.done[what] += 1

    def close(self) -> None:
        for pid in self._frozen:
            go_on(pid)
        self._service.close()
        for network in self._networks.values():
            network.close()

    def _start(self, name: str) -> None:
        self._broken.discard(name)
        match name.rstrip("-12"):
            case "host-worker":
                # A home of its own: a host worker has no business with the service's.
                home = str(self._service.home.parent / name)
                self._service.start_as(name, "host-worker", KTRDR_URL=self._networks[name].url, KTRDR_HOME=home)
            case part:
                self._service.start_as(name, part)

    def _look_for_deaths(self) -> None:
        for name, process in list(self._service.processes.items()):
            if name not in self._broken and (code := process.poll()) is not None:
                self.surprises.append(f"{name} ended by itself with code {code}; {name}.log says why")
                self._start(name)

    def _later(self, low: float, high: float, repair: Callable[[], None]) -> None:
        when = time.monotonic() + self._random.uniform(low, high)
        heapq.heappush(self._repairs, (when, next(self._numbers), repair))

    def _whole(self, *names: str) -> str | None:
        """One of the parts that nothing is wrong with; from now on something is."""
        left = [name for name in names if name not in self._broken]
        if not left:
            return None
        name = self._random.choice(left)
        self._broken.add(name)
        return name

    def _whole_worker(self) -> str | None:
        """The same of a worker; mostly one that has a job, if the API says which."""
        workers = (*WORKERS, *HOST_WORKERS)
        busy: set[int] = set()
        if self._random.random() < 0.8:
            with suppress(httpx2.TransportError, KeyError):
                known = self._service.http.get("/workers", timeout=1).json()["workers"]
                busy = {worker["pid"] for worker in known if worker["jobs"]}
        return self._whole(*(name for name in workers if self._pid(name) in busy)) or self._whole(*workers)

    def _pid(self, name: str) -> int:
        process = self._service.processes.get(name)
        return process.pid if process else 0

    def _kill(self, name: str | None, kind: str) -> str | None:
        if name is None:
            return None
        self._service.kill(name)
        self._later(0.1, 2.0, lambda: self._start(name))
        return f"kill -9 of {kind}"

    def _kill_worker(self) -> str | None:
        return self._kill(self._whole_worker(), "a worker")

    def _kill_api(self) -> str | None:
        return self._kill(self._whole("serve"), "the API")

    def _kill_scheduler(self) -> str | None:
        return self._kill(self._whole("scheduler"), "the scheduler")

    def _kill_child(self) -> str | None:
        name = self._whole_worker()
        if name is None:
            return None
        self._broken.discard(name)  # its worker has to see to it
        return "kill -9 of a job process" if _signal(_children(self._pid(name)), signal.SIGKILL) else None

    def _stop_orderly(self) -> str | None:
        name = self._whole("serve", "scheduler", *WORKERS, *HOST_WORKERS)
        if name is None:
            return None
        process = self._service.processes[name]
        is_ready = _catches(process.pid, signal.SIGTERM)  # a process that has just begun may not know it yet
        process.terminate()
        deadline = time.monotonic() + _LONGEST_STOP_SECONDS

        def start_again() -> None:
            code = process.poll()
            if code is None and time.monotonic() < deadline:
                self._later(0.2, 0.2, start_again)
                return
            if code is None:
                process.kill()
                process.wait()
            if code != 0 and (is_ready or code != -signal.SIGTERM):
                self.surprises.append(f"{name} was told to stop and ended with code {code}; {name}.log says why")
            self._start(name)

        self._later(0.2, 1.0, start_again)
        return f"SIGTERM of {'the ' + name if name in ('serve', 'scheduler') else 'a worker'}"

    def _freeze_worker(self) -> str | None:
        name = self._whole_worker()
        if name is None:
            return None
        pid = self._pid(name)
        frozen = [pid, *(_children(pid) if self._random.random() < 0.5 else ())]
        return self._freeze(name, frozen, "SIGSTOP of a worker" + (" and its job process" if len(frozen) > 1 else ""))

    def _freeze_child(self) -> str | None:
        name = self._whole_worker()
        return None if name is None else self._freeze(name, _children(self._pid(name)), "SIGSTOP of a job process")

    def _freeze(self, name: str, pids: list[int], what: str) -> str:
        """Beyond the lease, or not."""
        _signal(pids, signal.SIGSTOP)
        self._frozen.update(pids)

        def thaw() -> None:
            for pid in pids:
                go_on(pid)
            self._frozen.difference_update(pids)
            self._broken.discard(name)
            if self._service.processes[name].poll() == -signal.SIGKILL:
                # It stood still in the middle of a write, and the scheduler freed the database.
                self.done["a frozen writer was ended"] += 1
                self._start(name)

        self._later(0.3, 7.0, thaw)
        return what

    def _break_network(self) -> str | None:
        name = self._whole(*(f"network of {name}" for name in HOST_WORKERS))
        if name is None:
            return None
        network = self._networks[name.removeprefix("network of ")]
        what, break_it = self._random.choice([
            ("network: refused and cut", lambda: (network.refuse(), network.cut())),
            ("network: cut once", network.cut),
            ("network: stalled", network.stall),
            ("network: answers lost", network.lose_answers),
            ("network: delayed", lambda: network.delay(0.2)),
            ("network: narrow", lambda: network.throttle(50_000)),
        ])  # fmt: skip
        break_it()

        def heal() -> None:
            network.heal()
            self._broken.discard(name)

        self._later(0.3, 6.0, heal)
        return what


def _children(pid: int) -> list[int]:
    with suppress(OSError):  # it may be ending
        return children(pid)
    return []


def _catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def _signal(pids: list[int], number: int) -> int:
    """How many processes were still there to be signalled."""
    count = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            count += 1
    return count
