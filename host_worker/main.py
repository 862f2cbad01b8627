"""The host worker as a process: its options, its slots, its signals and its end. Imports this package's own parts."""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from host_worker.cache import Cache
from host_worker.connection import Connection, GivenUpError, RefusedError
from host_worker.lease import beat
from host_worker.orchestrator import HostTrainingOrchestrator
from host_worker.stopping import END_SECONDS, Stopping
from ktrdr.disk import FolderUnusableError, require_folder
from ktrdr.jobs.workers import Beat, WorkerState
from ktrdr.logs import configure_logs
from ktrdr.settings import SETTINGS, read_settings
from ktrdr.spans import open_spans
from ktrdr.worker.presence import Presence, first_beat

logger = logging.getLogger(__name__)

#: What the job processes import, and only the extra `host` brings along.
NEEDED = ("numpy", "pandas", "safetensors", "talib", "torch", "yaml")
#: A farewell that gets no answer is left unsaid.
FAREWELL_SECONDS = 1.0
_TOKEN = SETTINGS["token"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the options and works until SIGTERM or SIGINT. Ends with a message if it cannot work at all."""
    settings = read_settings()
    parser = argparse.ArgumentParser(
        prog="host_worker",
        description="Trains jobs for a ktrdr service elsewhere, over HTTP alone.",
        epilog="example: python -m host_worker --url http://127.0.0.1:8321 --slots 2",
    )
    parser.add_argument("--url", default=settings.url, help="where the API is (KTRDR_URL, now %(default)s)")
    parser.add_argument(
        "--token", help="what the API wants of its clients; KTRDR_TOKEN keeps it out of the list of processes"
    )
    parser.add_argument(
        "--slots", type=_at_least_one, default=settings.slots, help="jobs at once (KTRDR_SLOTS, now %(default)s)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=settings.home / "host_worker",
        help="folder for price data, checkpoints and unfinished models (now %(default)s)",
    )
    parser.add_argument(
        "--cache-gb", type=float, default=20.0, help="what is kept of it for later jobs, in GB (now %(default)g)"
    )
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given)
    if options.token is not None:
        _start_again_with_hidden_token(options.token, given)
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise SystemExit(f"error: {', '.join(missing)} not installed\n  fix: pip install 'ktrdr[host]'")
    try:
        require_folder(options.cache, choose="choose another with --cache or KTRDR_HOME")
    except FolderUnusableError as error:
        raise SystemExit(f"error: {error}") from None
    os.environ.pop(_TOKEN.variable, None)  # job processes have no use for it
    configure_logs("host-worker", form=settings.log_format, level=settings.log_level, secrets=(settings.token or "",))
    run_host_worker(options.url, settings.token, options.cache, int(options.cache_gb * 1e9), options.slots)


def run_host_worker(url: str, token: str | None, cache: Path, cache_bytes: int, slots: int) -> None:
    """Works until SIGTERM or SIGINT, then gives back what runs, with its checkpoints, within ten seconds.

    A second signal ends it at once.
    """
    stopping = Stopping()
    orchestrators: list[HostTrainingOrchestrator] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set:
            for orchestrator in orchestrators:
                orchestrator.kill()
            os._exit(128 + number)
        stopping.begin()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    connection = Connection(url, token)
    first = first_beat("host", slots)

    def tell(said: Beat) -> float:
        return beat(connection, said, given_up=lambda: stopping.lasts_for(FAREWELL_SECONDS))

    logger.info("host worker %s asks %s for jobs", first.name, url)
    try:
        tell(first)
    except RefusedError as error:
        raise SystemExit(f"error: the service at {url} does not take this worker: {error}") from None
    except GivenUpError:
        return  # stopped before the service was there
    presence = Presence(first, tell)
    presence.start()
    spans = open_spans("host-worker")
    with _own_folder(cache / "attempts") as folder:
        files = Cache(cache / "files", cache_bytes)
        for _ in range(slots):
            orchestrators.append(
                HostTrainingOrchestrator(
                    connection=connection,
                    cache=files,
                    folder=folder,
                    name=first.name,
                    stopping=stopping,
                    on_ready=lambda ready: presence.change(WorkerState.ALIVE, ready.capabilities),
                    spans=spans,
                )
            )
        # A slot whose request hangs in a dead network may be left behind.
        threads = [threading.Thread(target=one.run, daemon=True) for one in orchestrators]
        for thread in threads:
            thread.start()
        stopping.event.wait()
        presence.change(WorkerState.DRAINING)  # the service then ends the claims that wait
        ends_at = time.monotonic() + END_SECONDS
        for thread in threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
        presence.end(FAREWELL_SECONDS)
    if spans is not None:
        spans.close()


@contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """A folder for what this process makes; removed at its end, or by the next process if this one is killed."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        if (lock := _lock(left / "lock")) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    folder = parent / f"{os.getpid()}-{time.time_ns()}"
    folder.mkdir()
    held = _lock(folder / "lock", make=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def _lock(file: Path, *, make: bool = False) -> int | None:
    """A descriptor that holds the lock on a file; None if another process lives that does."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o644)
    except OSError:
        return None  # just being made
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _start_again_with_hidden_token(token: str, given: Sequence[str]) -> None:
    """Becomes the same program with the token in its environment: arguments can be seen by everyone on the machine."""
    rest: list[str] = []
    words = iter(given)
    for word in words:
        if word == "--token":
            next(words, None)
        elif not word.startswith("--token="):
            rest.append(word)
    try:
        _TOKEN.read(token)
    except ValueError:
        raise SystemExit(f"error: --token is not possible\n  fix: give {_TOKEN.expected}") from None
    os.environ[_TOKEN.variable] = token
    os.execv(sys.executable, [sys.executable, "-m", "host_worker", *rest])


def _at_least_one(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError("1 to 256")
    return int(text)
