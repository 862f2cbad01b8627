"""A wall clock that a test can set, for real processes: Python reads it in place of the machine's.

Every process that is started with `environment` imports `sitecustomize` before anything else (see Python's module
`site`), and that lets `time.time` of all modules and `datetime.now` of those that keep time go by a file that the test
writes. The steady clock stays the machine's.
"""

from __future__ import annotations

from pathlib import Path

_SITECUSTOMIZE = """
import datetime
import os
import time
from importlib.machinery import SourceFileLoader

_real_datetime, _real_time, _real_time_ns = datetime.datetime, time.time, time.time_ns
_exec_module = SourceFileLoader.exec_module


def _offset():
    with open(os.environ["FAKED_CLOCK"]) as file:
        return float(file.read())


class _Datetime(_real_datetime):
    @classmethod
    def now(cls, tz=None):
        return _real_datetime.now(tz) + datetime.timedelta(seconds=_offset())


def _exec_with_faked_clock(self, module):
    _exec_module(self, module)
    if module.__name__.startswith(("ktrdr.clock", "apscheduler")) and vars(module).get("datetime") is _real_datetime:
        module.datetime = _Datetime


SourceFileLoader.exec_module = _exec_with_faked_clock
time.time = lambda: _real_time() + _offset()
time.time_ns = lambda: _real_time_ns() + int(_offset() * 1e9)
"""


class FakedClock:
    """The wall clock of the processes that are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self._file = folder / "offset"
        self.step(0.0)
        self.environment = {"PYTHONPATH": str(folder), "FAKED_CLOCK": str(self._file)}

    def step(self, seconds: float) -> None:
        """Sets the clock so far ahead of the machine's; behind it, if negative."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)
