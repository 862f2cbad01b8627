"""The first start makes the database, later ones bring it up to date, all of it or nothing."""

from __future__ import annotations

import re
import shutil
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine
from sqlalchemy.schema import CreateIndex
from store_steps import let_go, raw, start_process, submit

from ktrdr.store import Log, Store, open_store
from ktrdr.store.database import DatabaseUnsuitableError, open_engine
from ktrdr.store.schema import metadata

migrate = import_module("ktrdr.store.migrate")  # the package has a function of the same name
MIGRATIONS = migrate.migrations_folder()
OPEN = """
import sys
from pathlib import Path
from job_builders import SUBMITTED
from ktrdr.store import open_store
from store_steps import submit
print("ready", flush=True)
input()
store = open_store(Path(sys.argv[1]))
log = store.open_log()
submit(log)
"""


def _objects(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT type, name FROM sqlite_master")
        return {(row[0], row[1]) for row in rows}


def _definitions(engine: Engine, kind: str) -> dict[str, str]:
    query = "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL AND name <> 'alembic_version'"
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(query, (kind,))}


def test_eight_processes_open_an_empty_home_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    let_go([start_process(OPEN, home) for _ in range(8)])
    reader = open_store(home).open_reader()
    assert [event.position for event in reader.events(limit=100)] == list(range(1, 9))
    reader.close()


def test_the_migrations_make_what_the_schema_says(store: Store) -> None:
    def is_comparable(_thing: object, name: str, *_more: object) -> bool:
        return name != "jobs_queue"  # Alembic takes its `priority DESC` for a difference; the next test compares it

    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_comparable})
        assert compare_metadata(context, metadata) == []


def test_the_indexes_have_the_expressions_and_conditions_that_the_schema_says(store: Store) -> None:
    """Alembic does not compare these."""
    found = _definitions(store.engine, "index")
    expected = {
        str(index.name): str(CreateIndex(index).compile(dialect=store.engine.dialect))
        for table in metadata.sorted_tables
        for index in table.indexes
    }
    assert found == expected


def test_the_tables_have_the_constraints_that_the_schema_says(store: Store, tmp_path: Path) -> None:
    """Alembic does not compare primary keys, checks or WITHOUT ROWID."""
    made = create_engine(f"sqlite:///{tmp_path}/made.db")
    metadata.create_all(made)

    def lines(engine: Engine) -> dict[str, list[str]]:
        tables = _definitions(engine, "table")
        return {name: sorted(line.strip(" ,\t") for line in sql.splitlines()) for name, sql in tables.items()}

    assert lines(store.engine) == lines(made)
    made.dispose()


def test_the_head_is_the_newest_file_and_the_files_are_numbered_in_order() -> None:
    files = sorted(path.name for path in (MIGRATIONS / "versions").glob("*.py"))
    assert [name[:5] for name in files] == [f"{number:04}_" for number in range(1, len(files) + 1)]
    assert files[-1].startswith(f"{migrate.HEAD}_")


def test_a_database_at_the_head_is_opened_without_alembic(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_upgrade", lambda _connection: pytest.fail("nothing is to be migrated"))
    migrate.migrate(store.engine)


def test_a_database_of_a_newer_version_is_refused(store: Store) -> None:
    connection = raw(store)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(
        DatabaseUnsuitableError,
        match=re.escape(f"schema 9999, newer than this version of ktrdr ({migrate.HEAD}); upgrade ktrdr"),
    ):
        open_store(store.home)


@pytest.fixture
def next_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Adds a migration with the body given to a copy of the folder, as the next release might."""

    def add(body: str) -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder)
        text = f"from alembic import op\nimport sqlalchemy as sa\nrevision = 'next'\ndown_revision = {migrate.HEAD!r}\n"
        (folder / "versions" / "next.py").write_text(f"{text}\ndef upgrade():\n    {body}\n")
        monkeypatch.setattr(migrate, "migrations_folder", lambda: folder)
        monkeypatch.setattr(migrate, "HEAD", "next")

    return add


ADD_TABLE = "op.create_table('extra', sa.Column('id', sa.Integer))"


def test_a_database_with_jobs_is_brought_to_the_next_schema(store: Store, log: Log, next_migration: Any) -> None:
    job_id = submit(log)
    next_migration(ADD_TABLE)
    reader = open_store(store.home).open_reader()
    assert ("table", "extra") in _objects(store.engine)
    assert reader.job(job_id).version == 1
    reader.close()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, next_migration: Any, is_new: bool) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/ktrdr.db")
    if not is_new:
        migrate.migrate(engine)
    before = _objects(engine)
    next_migration(f"{ADD_TABLE}; op.execute('INSERT INTO extra VALUES (1)'); raise RuntimeError('power')")
    with pytest.raises(RuntimeError, match="power"):
        migrate.migrate(engine)
    assert _objects(engine) == before


def test_a_process_that_finds_a_migration_under_way_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, may_end, entered = threading.Event(), threading.Event(), []
    upgrade = migrate._upgrade

    def slow_upgrade(connection: Any) -> None:
        entered.append(threading.current_thread().name)
        inside.set()
        assert may_end.wait(60)
        upgrade(connection)

    monkeypatch.setattr(migrate, "_upgrade", slow_upgrade)
    url = f"sqlite:///{tmp_path}/ktrdr.db"
    first, second = (threading.Thread(target=lambda: migrate.migrate(open_engine(url))) for _ in range(2))
    first.start()
    assert inside.wait(60)
    second.start()
    may_end.set()
    first.join(60)
    second.join(60)
    assert entered == [first.name]
