"""A home that cannot be written ends every command with one clear sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_disk import file_system

COMMANDS = ["up", "serve", "worker", "scheduler", "demo", "host-worker", "python -m host_worker"]


def run(command: str, home: Path, prefix: list[str]) -> subprocess.CompletedProcess[str]:
    arguments = {
        "demo": ["-m", "ktrdr", "demo", "--home", str(home)],
        "python -m host_worker": ["-m", "host_worker", "--cache", str(home)],
    }.get(command, ["-m", "ktrdr", command])
    return subprocess.run(
        [*prefix, sys.executable, *arguments],
        env=os.environ | {"KTRDR_HOME": str(home), "KTRDR_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_home_below_a_file(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    ran = run(command, tmp_path / "file" / "home", [])
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'file' / 'home'}")
    assert f" cannot be used: {tmp_path / 'file'} is a file, not a folder; choose another with " in line
    assert "--home" in line or "--cache" in line or "KTRDR_HOME" in line


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_home_on_a_disk_without_room(tmp_path: Path, command: str) -> None:
    with file_system(tmp_path) as disk:
        if disk is None:
            pytest.skip("this kernel gives no file system of our own")
        disk.fill()
        ran = run(command, tmp_path, disk.prefix)
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: ")
    assert f"the file system of {tmp_path} (mounted at {tmp_path}) is full: 0 bytes are free" in line


def test_a_home_that_may_only_be_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    if os.geteuid() == 0:  # for whom permissions do not hold
        home = Path("/proc/home")
    ran = run("serve", home, [])
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"error: {home} cannot be used: files cannot be written there (")
