"""The host worker as a process: its options, slots and signals. Imports the orchestrator."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from host_worker.orchestrator import HostTrainingOrchestrator
from ktrdr.settings import read_settings

logger = logging.getLogger(__name__)

#: How long a stopping worker may take to give its jobs back.
RELEASE_SECONDS = 10.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the options and works until SIGTERM or SIGINT."""
    settings = read_settings()
    parser = argparse.ArgumentParser(
        prog="host_worker",
        description="Trains jobs for a ktrdr service elsewhere, over HTTP.",
        epilog="example: python -m host_worker --url http://127.0.0.1:8321 --slots 2",
    )
    parser.add_argument("--url", default=settings.url, help="where the API is (KTRDR_URL, now %(default)s)")
    parser.add_argument("--slots", type=int, default=settings.slots, help="jobs at once (KTRDR_SLOTS, now %(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=settings.home / "host_worker",
        help="folder for price data and unfinished models (now %(default)s)",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    run_host_worker(options.url, options.cache, options.slots)


def run_host_worker(url: str, cache: Path, slots: int) -> None:
    """Works until SIGTERM or SIGINT; running jobs are then given back to the queue."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    name = f"{socket.gethostname()}-{os.getpid()}"
    orchestrators = [
        HostTrainingOrchestrator(url, cache, f"{name}-{number}", stopping) for number in range(1, slots + 1)
    ]
    # An idle slot waits inside a long poll and may be left there: the API gives no job to a connection that is gone.
    threads = [threading.Thread(target=one.run, daemon=True) for one in orchestrators]
    for thread in threads:
        thread.start()
    logger.info("host worker %s asks %s for jobs", name, url)
    stopping.wait()
    for orchestrator, thread in zip(orchestrators, threads, strict=True):
        thread.join(RELEASE_SECONDS if orchestrator.is_busy else 0.2)
