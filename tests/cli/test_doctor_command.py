"""`ktrdr doctor`: what it finds in installations in every state, with and without a service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysqlite3
import pytest
from commands import Ran, ktrdr
from running_service import RunningService, wait_until

from ktrdr import __version__
from ktrdr.cli.parts import free_port
from ktrdr.store import open_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty installation on a port where nobody listens."""
    monkeypatch.setenv("KTRDR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KTRDR_PORT", str(free_port("127.0.0.1")))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def examined(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Ran, dict[str, dict[str, str]]]:
    """What the doctor says, by check."""
    ran = ktrdr(capsys, "doctor", "--json", *arguments)
    checks = {one["check"]: one for one in ran.json["checks"]}
    assert ran.code == (1 if any(one["verdict"] == "fail" for one in checks.values()) else 0)
    assert all(one["fix"] for one in checks.values() if one["verdict"] != "ok")
    return ran, checks


def test_a_service_that_is_well(
    capsys: pytest.CaptureFixture[str], service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KTRDR_HOME", "KTRDR_PORT", "KTRDR_URL"):
        monkeypatch.setenv(name, service.environment[name])
    wait_until(lambda: [one for one in service.client.workers() if one["state"] == "alive"])
    ran, checks = examined(capsys)
    assert checks["api"]["found"] == f"{service.url} answers as version {__version__}"
    for check in ("python", "sqlite", "home", "database", "schema", "lock", "clock", "clocks", "readiness", "workers"):
        assert checks[check]["verdict"] == "ok", checks[check]
    assert checks["token"]["found"] == "none is needed"
    told = ktrdr(capsys, "doctor")
    assert told.code == ran.code
    assert f"ok    api              {service.url} answers" in told.out
    assert told.err.startswith(f"{len(checks)} checks: ")


def test_an_installation_that_is_not_there_yet(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTRDR_HOME", str(tmp_path / "later" / "home"))
    monkeypatch.setenv("KTRDR_PORT", str(free_port("127.0.0.1")))
    ran, checks = examined(capsys)
    assert ran.code == 0
    assert "the first ktrdr up makes it" in checks["home"]["found"]
    assert (checks["api"]["verdict"], checks["port"]["verdict"]) == ("warn", "ok")
    assert not (tmp_path / "later").exists()


def test_a_port_that_something_else_has(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.listen(0)
        monkeypatch.setenv("KTRDR_PORT", str(listener.getsockname()[1]))
        monkeypatch.setenv("KTRDR_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setattr("ktrdr.cli.diagnosis.service._SECONDS", 0.2)
        _, checks = examined(capsys)
    assert checks["port"]["verdict"] == "fail"


def test_a_wrong_setting(capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTRDR_SLOTS", "many")
    ran, checks = examined(capsys, "--url", f"http://127.0.0.1:{free_port('127.0.0.1')}")
    assert (ran.code, checks["settings"]["found"]) == (1, "KTRDR_SLOTS: 'many' is not possible")


def test_a_damaged_and_a_newer_database(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    open_store(home)
    with closing(pysqlite3.connect(str(home / "ktrdr.db"), isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert examined(capsys)[1]["schema"]["verdict"] == "fail"
    (home / "ktrdr.db").write_bytes(b"this is no database at all, it only has the name of one" * 100)
    assert examined(capsys)[1]["database"]["verdict"] == "fail"


def test_who_holds_the_lock_is_named(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    open_store(home)
    script = (
        f"import pysqlite3, sys; c = pysqlite3.connect({str(home / 'ktrdr.db')!r}, isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        lock = examined(capsys)[1]["lock"]
        holder.stdin.close()
    assert lock["verdict"] == "fail"
    if sys.platform == "linux":
        assert f"process {holder.pid} " in lock["found"]
    assert examined(capsys)[1]["lock"]["verdict"] == "ok"


def test_leftovers_a_readable_key_and_a_folder_that_is_not_ours(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    (home / "audit").mkdir()
    (home / "audit" / "signing.key").write_text("secret")
    (home / "audit" / "signing.key").chmod(0o644)
    (home / "models").mkdir()
    (home / "models" / ".abc").write_bytes(b"half of it")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    os.utime(home / "models" / ".abc", (yesterday, yesterday))
    _, checks = examined(capsys)
    assert checks["leftovers"]["found"].endswith("models/.abc")
    assert checks["signing key"]["verdict"] == "fail"


def test_a_scheduler_that_signs_nothing_is_found(
    capsys: pytest.CaptureFixture[str], service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTRDR_SIGN_SECONDS", "0.5")
    monkeypatch.setattr("ktrdr.cli.diagnosis.service._SIGNING_TAKES_SECONDS", -100.0)  # it counts as late at once
    service.client.cancel(service.client.submit("trend_follower", target="host")["id"])
    scheduler = examined(capsys, "--url", service.url)[1]["scheduler"]
    assert scheduler["verdict"] == "fail"
    assert "it is not running" in scheduler["found"]


def test_a_refused_token_is_told(
    capsys: pytest.CaptureFixture[str], own_service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_service.start("serve", KTRDR_TOKEN="the-right-token-of-this-service")
    monkeypatch.setenv("KTRDR_TOKEN", "some-other-token-that-is-wrong")
    ran, checks = examined(capsys, "--url", own_service.url)
    assert (ran.code, checks["token"]["verdict"]) == (1, "fail")
    monkeypatch.setenv("KTRDR_TOKEN", "the-right-token-of-this-service")
    assert examined(capsys, "--url", own_service.url)[1]["token"]["found"] == "accepted"


def test_a_machine_with_the_client_alone_is_well_too(home: Path) -> None:
    script = (
        "import sys, importlib.metadata as m, importlib.util as u\n"
        "version, find = m.version, u.find_spec\n"
        "gone = ('torch', 'pysqlite3', 'sqlalchemy', 'starlette')\n"
        "def known(name):\n"
        "    if name in gone: raise m.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "m.version = known\n"
        "u.find_spec = lambda name, *a: None if name in gone else find(name, *a)\n"
        "sys.modules.update(dict.fromkeys(gone))\n"
        "from ktrdr.cli import run; sys.exit(run(['doctor']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert f"ok    ktrdr            {__version__}: client\n" in ran.stdout
    assert "not looked at: no service is installed here" in ran.stdout
