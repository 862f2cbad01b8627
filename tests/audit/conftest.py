"""A small log that was written without any training, and its connections, for the tests of the audit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from audited_log import write_log

from ktrdr.store import Log, Reader, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_log(tmp_path / "home")


@pytest.fixture
def log(store: Store) -> Iterator[Log]:
    log = store.open_log()
    yield log
    log.close()


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    reader = store.open_reader()
    yield reader
    reader.close()
