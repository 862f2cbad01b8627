"""The database is opened as the store needs it, or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
from job_builders import SUBMITTED
from store_steps import raw, submit

from ktrdr.store import Log, Store, database, open_store
from ktrdr.store.database import FIRST_SAFE_SQLITE, DatabaseUnsuitableError, open_engine

PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "journal_size_limit": 67108864}


@pytest.mark.parametrize(("pragma", "value"), PRAGMAS.items())
def test_every_connection_is_set_up(store: Store, pragma: str, value: object) -> None:
    for _ in range(2):
        with store.engine.connect() as connection:
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_foreign_keys_are_enforced(store: Store, log: Log) -> None:
    with pytest.raises(pysqlite3.IntegrityError, match="FOREIGN KEY"):
        log.write(lambda transaction: transaction.cursor.execute("INSERT INTO leases VALUES ('x', 1, 'w', 0, NULL)"))


def test_the_driver_brings_a_sqlite_without_the_wal_reset_bug() -> None:
    assert pysqlite3.sqlite_version_info >= FIRST_SAFE_SQLITE


def test_a_sqlite_that_can_corrupt_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pysqlite3, "sqlite_version_info", (3, 51, 2))
    with pytest.raises(DatabaseUnsuitableError, match="can corrupt a database in WAL mode; install pysqlite3"):
        open_engine(f"sqlite:///{tmp_path}/ktrdr.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&cache=shared&uri=true",
        "mysql://host/ktrdr",
        "ktrdr.db",
        "",
    ],
)
def test_what_is_not_a_file_of_sqlite_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnsuitableError, match="give a file, as in sqlite:////var/lib/ktrdr"):
        open_engine(url)


def test_a_refused_database_does_not_show_its_password() -> None:
    with pytest.raises(DatabaseUnsuitableError, match="mysql://ktrdr:") as refusal:
        open_engine("mysql://ktrdr:secret@host/ktrdr")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?b=c", "a#b", "é"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path / name)
    log = store.open_log()
    submit(log)
    log.close()
    assert (tmp_path / name / "ktrdr.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def _mounts(folder: Path, kind: str) -> str:
    escaped = str(folder).replace(" ", "\\040")
    return (
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"55 22 0:41 / {escaped} rw,relatime shared:30 - {kind} server:/export rw,vers=4.2\n"
        f"56 22 0:42 / {escaped}-beside rw,relatime - ext4 /dev/vdb rw\n"
    )


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets `tmp_path/on a share` seem to be mounted with a file system of the kind given."""

    def mount(kind: str) -> Path:
        folder = tmp_path / "on a share"
        read_text = Path.read_text
        monkeypatch.setattr(
            database.Path,
            "read_text",
            lambda path: _mounts(folder, kind) if path == Path("/proc/self/mountinfo") else read_text(path),
        )
        return folder

    return mount


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(mounted: Any, kind: str) -> None:
    folder = mounted(kind)
    message = re.escape(f"{folder / 'deep' / 'ktrdr.db'} lies on {kind} (mounted at {folder}), where SQLite loses data")
    with pytest.raises(DatabaseUnsuitableError, match=message):
        open_engine(f"sqlite:///{folder}/deep/ktrdr.db")
    assert not folder.exists()


def test_a_network_file_system_behind_a_link_is_refused(mounted: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(mounted("nfs"))
    with pytest.raises(DatabaseUnsuitableError, match="lies on nfs"):
        open_engine(f"sqlite:///{tmp_path}/link/ktrdr.db")


@pytest.mark.parametrize("name", ["on a share", "on a share-beside", "elsewhere"])
def test_a_local_file_system_is_accepted(mounted: Any, tmp_path: Path, name: str) -> None:
    mounted("ext4" if name == "on a share" else "nfs")
    open_engine(f"sqlite:///{tmp_path / name}/ktrdr.db").connect().close()


def test_the_kind_of_file_system_is_not_known_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_path: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(database.Path, "read_text", missing)
    open_engine(f"sqlite:///{tmp_path}/ktrdr.db").connect().close()


def test_a_writer_that_never_gets_its_turn_gives_up(store: Store, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WRITE_TURN_SECONDS", 0.05)
    holder = raw(store)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(database.DatabaseBusyError, match="another process has not let go"):
        submit(log, name=SUBMITTED.name)
    holder.execute("ROLLBACK")
    holder.close()
    submit(log)
