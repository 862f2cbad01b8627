"""A log whose disk is full says so, loses nothing, stays readable, and writes on once there is room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_disk import SmallDisk
from store_steps import differences

from ktrdr.store import open_store

WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from store_steps import submit
from ktrdr.store import open_store
from ktrdr.store.database import DatabaseUnwritableError

store = open_store(Path(sys.argv[1]))
log, reader, watch = store.open_log(), store.open_reader(), store.open_watch()
print("ready", flush=True)
for line in sys.stdin:
    try:
        submit(log)
        print("written", flush=True)
    except DatabaseUnwritableError as error:
        print(f"{error}; {error.fix}; {reader.last_position()}", flush=True)
"""
PATHS = [str(Path(__file__).parents[1] / name) for name in ("jobs", "store")]


@pytest.fixture
def writer(small_disk: SmallDisk) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*small_disk.prefix, sys.executable, "-c", WRITER, str(small_disk.folder / "home"), *PATHS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.fixture
def write(writer: subprocess.Popen[str]) -> Callable[[], str]:
    def ask() -> str:
        assert writer.stdin
        assert writer.stdout
        writer.stdin.write("\n")
        writer.stdin.flush()
        return writer.stdout.readline().strip()

    return ask


def test_a_write_is_refused_in_words_and_the_connection_writes_on_when_there_is_room(
    small_disk: SmallDisk,
    writer: subprocess.Popen[str],
    write: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    written = 3
    assert [write() for _ in range(written)] == ["written"] * written
    for _ in range(2):
        small_disk.fill(writer.pid)
        for _ in range(3):
            said = write()
            assert said.startswith("the database cannot be written: ")
            assert str(small_disk.folder / "home") in said
            assert " bytes are free" in said
            assert "free some space" in said or "ulimit -f" in said
        readable_up_to = int(said.rpartition("; ")[2])
        assert readable_up_to == written
        small_disk.free(writer.pid)
        assert [write() for _ in range(2)] == ["written"] * 2
        written += 2
    writer.kill()
    writer.wait()
    copy = tmp_path_factory.mktemp("elsewhere") / "home"
    shutil.copytree(small_disk.view(small_disk.folder / "home"), copy)
    store = open_store(copy)
    reader = store.open_reader()
    assert [event.position for event in reader.all_events()] == list(range(1, written + 1))
    reader.close()
    assert differences(store, repair=False) == ()


RING = """
import resource, sys
from pathlib import Path
from ktrdr.store import open_store

store = open_store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
store.doorbell.ring()
"""


def test_a_doorbell_that_cannot_ring_does_not_undo_a_commit(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", RING, str(tmp_path)], check=True, timeout=60)


def test_the_doorbell_has_its_place_before_anything_depends_on_it(tmp_path: Path) -> None:
    assert open_store(tmp_path).doorbell.path.stat().st_blocks > 0
