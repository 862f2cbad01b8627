"""SIGTERM inside the job process: the first is a wish, a later one an order."""

from __future__ import annotations

import signal
import subprocess
import sys

PROGRAM = """
import sys, time
from ktrdr.worker import stop_signal
stop_signal.SAME_SIGNAL_SECONDS = float(sys.argv[1])
stop = stop_signal.StopSignal()
print("ready", flush=True)
while not stop.is_set:
    time.sleep(0.001)
print("asked", flush=True)
for line in sys.stdin:
    if line == "clear\\n":
        stop.clear()
    print(stop.is_set, flush=True)
"""


def start(same_signal_seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(same_signal_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert said(process) == "ready"
    process.terminate()
    assert said(process) == "asked"
    return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    print(line, file=process.stdin, flush=True)
    return said(process)


def test_a_second_signal_at_once_is_the_same_one() -> None:
    with start(3600) as process:
        process.terminate()
        assert ask(process, "look") == "True"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


def test_a_second_signal_later_ends_the_process() -> None:
    with start(0) as process:
        process.terminate()
        assert process.wait() == -signal.SIGTERM


def test_each_job_can_be_stopped_anew() -> None:
    with start(0) as process:
        assert ask(process, "clear") == "False"
        process.terminate()
        while ask(process, "look") != "True":
            pass
        process.terminate()
        assert process.wait() == -signal.SIGTERM
