"""Bringing the database to the schema of this version, safely when several processes start together.

Imports sqlalchemy; alembic only when there is something to migrate, because importing it costs a fifth of a second.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pysqlite3
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from ktrdr.store.database import DatabaseUnsuitableError, begin_write, unwritable

#: The newest migration; a test compares it with the files.
HEAD = "0001"


def migrate(engine: Engine) -> None:
    """Migrates to `HEAD` in one transaction; does nothing if the database is there already.

    Raises DatabaseUnsuitableError for a database that a newer version of ktrdr wrote, DatabaseUnwritableError for a
    full disk.
    """
    try:
        _migrate(engine)
    except (DBAPIError, pysqlite3.Error) as error:
        if told := unwritable(error, engine):
            raise told from error
        raise


def _migrate(engine: Engine) -> None:
    with _lock_file(Path(f"{engine.url.database}.migrating")), engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
        begin_write(connection.connection.cursor())
        try:
            _upgrade(connection)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["connection"] = connection
    current = _revision(connection)
    try:
        if current is not None:
            ScriptDirectory.from_config(config).get_revision(current)
    except CommandError:
        raise DatabaseUnsuitableError(
            f"the database is at schema {current}, newer than this version of ktrdr ({HEAD}); upgrade ktrdr"
        ) from None
    command.upgrade(config, "head")


def migrations_folder() -> Path:
    """`migrations/` of the checkout, or its copy inside an installed wheel."""
    packaged = Path(__file__).parent / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "migrations"


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    """Holds an exclusive lock for as long as the block runs; the kernel frees it if the process dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
