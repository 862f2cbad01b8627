"""The two forms of a log line, whoever logs, and what never stands in one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

SAID = """
import contextvars, logging, threading, warnings
from ktrdr.logs import bound, configure_logs
configure_logs("worker", secrets=("my-own-secret",), {options})
logger = logging.getLogger("ktrdr.somewhere")
"""


def run(script: str, options: str = "") -> list[str]:
    """The lines that a process of its own writes to stderr."""
    text = SAID.format(options=options) + script
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_what_is_bound_stands_in_every_line_inside_also_of_threads_that_take_it_along() -> None:
    lines = run(
        "fields = {'job_id': 'j1', 'lease_epoch': 1}\n"
        "with bound(fields):\n"
        "    logger.info('inside', extra={'facts': {'rows': 3}})\n"
        "    fields['lease_epoch'] = 2\n"
        "    one = threading.Thread(target=contextvars.copy_context().run, args=(logger.info, 'in a thread'))\n"
        "    one.start(); one.join()\n"
        "    logger.debug('too little for this level')\n"
        "logger.warning('outside: %d %s', 1, 'ä')\n"
        "logging.getLogger('another.library').info('of no use')\n"
        "logging.getLogger('another.library').warning('of use')\n"
    )
    inside, thread, outside, library = map(json.loads, lines)
    assert {name: inside[name] for name in ("level", "part", "message", "job_id", "lease_epoch", "facts")} == {
        "level": "info", "part": "worker", "message": "inside", "job_id": "j1", "lease_epoch": 1, "facts": {"rows": 3},
    }  # fmt: skip
    assert (thread["message"], thread["lease_epoch"]) == ("in a thread", 2)
    assert outside["message"] == "outside: 1 ä"
    assert "job_id" not in outside
    assert (library["message"], library["logger"]) == ("of use", "another.library")


def test_what_nobody_foresaw_is_one_line_too() -> None:
    lines = run(
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    logger.exception('it broke')\n"
        "warnings.warn('soon gone', stacklevel=1)\n"
        "def breaks(): raise RuntimeError('two\\nlines')\n"
        "one = threading.Thread(target=breaks, name='helper')\n"
        "one.start(); one.join()\n"
        "raise SystemError('the end')\n"
    )
    broke, warned, thread, end = map(json.loads, lines)
    assert broke["message"] == "it broke"
    assert broke["exception"].startswith("Traceback")
    assert "ZeroDivisionError: division by zero" in broke["exception"]
    assert "soon gone" in warned["message"]
    assert (thread["level"], thread["message"]) == ("error", "thread helper ended by an error")
    assert thread["exception"].endswith("RuntimeError: two\nlines")
    assert (end["level"], end["message"]) == ("critical", "this process ends by an error")


@pytest.mark.parametrize("form", ["json", "plain"])
@pytest.mark.parametrize(
    "said",
    [
        "Authorization: Bearer hush-hush-hush",
        "{'authorization': 'Bearer hush-hush-hush', 'x': 1}",
        '{"Authorization": "hush-hush-hush"}',
        "Cookie: session=hush-hush-hush",
        "Basic hush-hush-hush",
        "postgresql://ktrdr:hush-hush-hush@db/ktrdr",
        "the token my-own-secret",
    ],
)
def test_secrets_are_blacked_out(form: str, said: str) -> None:
    (line,) = run(f"logger.warning({said!r})\n", options=f"form={form!r}")
    assert "hush" not in line
    assert "my-own-secret" not in line
    assert "***" in line


def test_a_terminal_gets_plain_lines() -> None:
    leader, terminal = pty.openpty()
    script = SAID.format(options="") + (
        "with bound({'job_id': 'j1', 'attempt': 2, 'worker': 'w1'}):\n"
        "    logger.info('step 3 of 11: split_data took 0.12 s', extra={'facts': {'rows': 3, 'where': 'a b'}})\n"
    )
    subprocess.run([sys.executable, "-c", script], stderr=terminal, check=True)
    os.close(terminal)
    line = os.read(leader, 1000).decode()
    os.close(leader)
    _day, _time, level, part, rest = line.split(maxsplit=4)
    assert (level, part) == ("info", "worker")
    assert rest.rstrip() == 'step 3 of 11: split_data took 0.12 s  rows=3 where="a b" job_id=j1 attempt=2'
