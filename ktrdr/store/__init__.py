"""The event table and everything that follows from it. Imports jobs.

`open_store` is the way in; a process then opens a `Log` to write and a `Reader` per thread that reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Engine

from ktrdr.disk import require_folder
from ktrdr.files import Checkpoints, Models, Prices
from ktrdr.store.database import open_engine
from ktrdr.store.doorbell import Doorbell, Glance, Watch
from ktrdr.store.log import Log
from ktrdr.store.migrate import migrate
from ktrdr.store.reader import Reader

#: A lease that is not renewed for this long is lost.
LEASE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Store:
    """One installation: its database and the files beside it."""

    engine: Engine
    home: Path
    prices: Prices
    models: Models
    checkpoints: Checkpoints
    doorbell: Doorbell
    lease_seconds: float

    def open_log(self) -> Log:
        return Log(self.engine, self.doorbell)

    def open_reader(self) -> Reader:
        return Reader(self.engine)

    def open_glance(self) -> Glance:
        return Glance(self.doorbell.path)

    def open_watch(self) -> Watch:
        return Watch(self.doorbell.path)


def open_store(home: Path, database_url: str | None = None, *, lease_seconds: float = LEASE_SECONDS) -> Store:
    """Opens the installation in `home`, making and migrating it first if need be.

    Raises DatabaseUnsuitableError, DatabaseUnwritableError, and FolderUnusableError if the folder cannot be written.
    """
    require_folder(home, choose="choose another with KTRDR_HOME")
    engine = open_engine(database_url or URL.create("sqlite", database=str(home / "ktrdr.db")))
    migrate(engine)
    return Store(
        engine=engine,
        home=home,
        prices=Prices(home / "prices"),
        models=Models(home / "models"),
        checkpoints=Checkpoints(home / "checkpoints"),
        doorbell=Doorbell(home / "doorbell"),
        lease_seconds=lease_seconds,
    )
