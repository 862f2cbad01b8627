"""The parts of the service as child processes: started together, started again when one dies, stopped together.

Imports the standard library. Used by `ktrdr up` and the demo alike.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

PARTS = ("serve", "worker", "scheduler")
#: The first pause before a part that died is started again; doubled while it keeps dying young.
PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_YOUNG_SECONDS = 10.0
#: Longer than the service waits for its open requests.
_STOP_SECONDS = 8.0
_LOOK_SECONDS = 0.1


class Part:
    """One part, in whichever process it runs at the moment."""

    def __init__(self, name: str, environment: Mapping[str, str], log: IO[bytes] | None) -> None:
        self.name = name
        self._environment = environment
        self._log = log
        self._pause = PAUSE_SECONDS
        self._started_at = 0.0
        self._restart_at: float | None = None
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started_at = time.monotonic()
        self._restart_at = None
        return subprocess.Popen(
            [sys.executable, "-m", "ktrdr", self.name, "--until-stdin-closes"],
            env=self._environment,
            # Held open as long as this process lives: a part never outlives it, however it ends.
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            # Ctrl-C in the terminal reaches this process alone, which then stops its parts in order.
            start_new_session=True,
        )

    def look(self, say: Callable[[str], None]) -> None:
        """Starts the part again if it has died, after a pause."""
        if self.process.poll() is None:
            return
        now = time.monotonic()
        if self._restart_at is None:
            is_young = now - self._started_at < _YOUNG_SECONDS
            self._restart_at = now + self._pause
            say(f"{self.name} {_how_it_ended(self.process.returncode)}; starting it again in {self._pause:g} s")
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS) if is_young else PAUSE_SECONDS
        elif now >= self._restart_at:
            self._close_stdin()
            self.process = self._start()
            say(f"{self.name} runs again (process {self.process.pid})")

    def ask_to_stop(self) -> None:
        self.process.terminate()

    def wait_until_stopped(self, deadline: float) -> None:
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close_stdin()

    def _close_stdin(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()


@contextmanager
def running_parts(
    environment: Mapping[str, str], *, say: Callable[[str], None], log: IO[bytes] | None = None
) -> Iterator[list[Part]]:
    """Every part, kept running for as long as the block lasts. `log` takes what they print, instead of our stderr."""
    parts: list[Part] = []
    stopping = threading.Event()

    def keep_running() -> None:
        while not stopping.wait(_LOOK_SECONDS):
            for part in parts:
                part.look(say)

    keeper = threading.Thread(target=keep_running, name="keeps the parts running")
    try:
        for name in PARTS:
            parts.append(Part(name, environment, log))
        keeper.start()
        yield parts
    finally:
        stopping.set()
        if keeper.is_alive():
            keeper.join()
        for part in parts:
            part.ask_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for part in parts:
            part.wait_until_stopped(deadline)


def part_environment(*, home: str, host: str, port: int) -> dict[str, str]:
    """This process's environment with the service at one place."""
    address = f"[{host}]" if ":" in host else host
    return {
        **os.environ,
        "KTRDR_HOME": home,
        "KTRDR_HOST": host,
        "KTRDR_PORT": str(port),
        "KTRDR_URL": f"http://{address}:{port}",
    }


def free_port(host: str, wanted: int = 0) -> int:
    """The wanted port, or any one, if nobody listens there. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, wanted))
        return int(probe.getsockname()[1])


def _how_it_ended(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
