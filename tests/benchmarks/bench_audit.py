"""The audit of a long log: folding it from zero, verifying all of it, and how much room it takes.

`python tests/benchmarks/bench_audit.py [EVENTS] [FOLDER]`: one million events unless it says otherwise; a log that lies
in the folder already is taken as it is. The commands run as people run them, in processes of their own. Beside the time
on the clock stands the time of the processors, which other work on the machine disturbs less.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pysqlite3

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure
from benchmarks.million_events import write_million

_TABLES = {
    "the log": "name = 'events'",
    "indexes of the log": "name LIKE 'events_%' OR name LIKE 'sqlite_autoindex_events%'",
    "the tree": "name LIKE 'tree%'",
    "snapshots": "name = 'snapshots'",
}


def measure_room(home: Path, events: int) -> None:
    database = home / "ktrdr.db"
    connection: Any = pysqlite3.connect(str(database))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    # The interpreter's own SQLite counts the pages of a table, and nobody writes here.
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    figure("room per event, all in all", database.stat().st_size / events, "bytes", events=events)
    for name, which in _TABLES.items():
        (size,) = connection.execute(f"SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE {which}").fetchone()
        figure(f"room per event, {name}", size / events, "bytes")
    (size,) = connection.execute("SELECT avg(length(data)) FROM events").fetchone()
    figure("canonical data of an event, mean", size, "bytes")
    connection.close()


def measure_command(name: str, home: Path, *command: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "ktrdr", *command, "--json"],
        env=os.environ | {"KTRDR_HOME": str(home)},
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    events = json.loads(ran.stdout)["events"]
    figure(name, seconds, "s", events=events)
    figure(f"{name}, processors", after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "s")
    figure(f"{name}, largest process so far", after.ru_maxrss / 1024, "MiB")


def main(events: str = "1000000", folder: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(folder or temporary)
        if not (home / "ktrdr.db").exists():
            began = time.perf_counter()
            write_million(home, int(events))
            figure("writing the log, not synced", time.perf_counter() - began, "s", events=int(events))
        measure_room(home, int(events))
        for _ in range(2):
            measure_command("replay from zero", home, "audit", "replay")
            measure_command("full verify", home, "audit", "verify")


if __name__ == "__main__":
    main(*sys.argv[1:])
