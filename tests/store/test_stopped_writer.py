"""A process that is stopped in the middle of a write does not hold up the others for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from running_service import PATIENCE_SECONDS as LONG_SECONDS
from running_service import wait_until
from store_steps import submit

from ktrdr.store import Log, Store
from ktrdr.store.stopped_writer import PATIENCE_SECONDS, StoppedWriters

_STOPS_WHILE_WRITING = """
import os, signal, sys
from ktrdr.store.database import begin_write, open_engine
connection = open_engine(sys.argv[1]).raw_connection()
cursor = connection.cursor()
begin_write(cursor)
cursor.execute("INSERT INTO strategies VALUES ('half', 'written', 'now')")
print("writing", flush=True)
if sys.argv[2] == "stop":
    os.kill(os.getpid(), signal.SIGSTOP)
sys.stdin.read()
"""


def start_writing(store: Store, then: str) -> subprocess.Popen[str]:
    """A process that holds the write lock and stands still (`stop`) or waits (`wait`)."""
    url = store.engine.url.render_as_string()
    process = subprocess.Popen(
        [sys.executable, "-c", _STOPS_WHILE_WRITING, url, then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def end(process: subprocess.Popen[str]) -> int:
    """Its exit code; negative is a signal."""
    process.communicate()
    return process.returncode


def test_a_stopped_writer_is_ended_after_a_while_and_its_transaction_undone(store: Store, log: Log) -> None:
    stopped = StoppedWriters(store.engine.url.database)
    process = start_writing(store, "stop")
    wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    stopped.end_stopped(100.0)
    stopped.end_stopped(100.0 + PATIENCE_SECONDS - 0.1)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    stopped.end_stopped(100.0 + PATIENCE_SECONDS)
    assert process.wait(LONG_SECONDS) == -signal.SIGKILL
    process.communicate()
    submit(log)
    assert store.open_reader().strategy_names() == []


@pytest.mark.usefixtures("log")
def test_a_writer_that_only_takes_long_is_left_alone(store: Store) -> None:
    stopped = StoppedWriters(store.engine.url.database)
    process = start_writing(store, "wait")
    for now in (100.0, 200.0, 300.0):
        stopped.end_stopped(now)
    assert end(process) == 0


def test_a_stopped_process_that_does_not_write_is_left_alone(store: Store, log: Log) -> None:
    stopped = StoppedWriters(store.engine.url.database)
    process = start_writing(store, "wait")
    process.send_signal(signal.SIGSTOP)
    stopped.end_stopped(100.0)
    process.send_signal(signal.SIGCONT)
    assert end(process) == 0
    for now in (200.0, 300.0):
        stopped.end_stopped(now)
    submit(log)
