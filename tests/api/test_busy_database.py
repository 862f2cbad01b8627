"""What clients hear while another process does not let go of the database."""

from __future__ import annotations

from pathlib import Path

import pysqlite3
import pytest
from starlette.testclient import TestClient

from ktrdr.api.app import create_app
from ktrdr.settings import read_settings
from ktrdr.store import database, open_store


def test_a_database_that_stays_busy_is_told_as_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    holder = pysqlite3.connect(str(tmp_path / "ktrdr.db"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(database, "WRITE_TURN_SECONDS", 0.05)
    address = "/api/v1/jobs/01234567-89ab-7def-8123-456789abcdef/cancel"
    with TestClient(create_app(store, read_settings({"KTRDR_HOME": str(tmp_path)})), "http://127.0.0.1") as client:
        answer = client.post(address)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        assert "has not let go of the database" in answer.json()["detail"]
        holder.execute("ROLLBACK")
        holder.close()
        assert client.post(address).status_code == 404
