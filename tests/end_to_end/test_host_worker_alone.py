"""What `pip install 'ktrdr[host]'` brings is enough for a host worker, and what is not there is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from running_service import RunningService
from strategies import short

ROOT = Path(__file__).parents[2]
#: Runs a module as `python -m` does, with nothing but the standard library and one folder to import from; processes
#: that it starts do the same.
BOOTSTRAP = """
import runpy, sys
sys.path.append({folder!r})
sys.executable = {launcher!r}
del sys.argv[0:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def closure(extra: str) -> dict[str, Distribution]:
    """The distributions that an installation with one extra consists of, by name, without ktrdr itself."""
    found: dict[str, Distribution] = {}
    waiting = [("ktrdr", extra)]
    seen = set(waiting)
    while waiting:
        name, of_extra = waiting.pop()
        one = distribution(name)
        if name != "ktrdr":
            found[name] = one
        for text in one.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": of_extra}):
                for needed in {(requirement.name.lower(), wanted) for wanted in ("", *requirement.extras)} - seen:
                    seen.add(needed)
                    waiting.append(needed)
    return found


def installation(folder: Path, extra: str) -> Path:
    """A program that runs modules with that installation alone."""
    packages = folder / "packages"
    packages.mkdir(parents=True)
    for package in ("ktrdr", "host_worker"):
        (packages / package).symlink_to(ROOT / package)
    for one in closure(extra).values():
        for name in {file.parts[0] for file in one.files or () if file.parts[0] != ".."}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(str(one.locate_file(name))))
    launcher, bootstrap = folder / "python", folder / "bootstrap.py"
    bootstrap.write_text(BOOTSTRAP.format(folder=str(packages), launcher=str(launcher)))
    launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {bootstrap} "$@"\n')
    launcher.chmod(0o755)
    return launcher


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installation(tmp_path_factory.mktemp("host"), "host")


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installation(tmp_path_factory.mktemp("bare"), "")


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-m", *arguments], check=False, capture_output=True, text=True, cwd="/")


@pytest.fixture
def working(service: RunningService, python: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [python, "-m", "host_worker", "--url", service.url, "--cache", tmp_path / "cache"]
    process = subprocess.Popen(command, cwd="/", env={**os.environ, "KTRDR_HOME": str(tmp_path)})
    yield process
    process.terminate()
    assert process.wait(60) == 0


def test_a_host_worker_completes_a_job_with_what_its_extra_brings_alone(
    service: RunningService, working: subprocess.Popen[bytes]
) -> None:
    job_ids = [service.client.submit(short(), seed=4, target=target)["id"] for target in ("local", "host")]
    local, host = [service.wait_for(job_id, "completed", "failed") for job_id in job_ids]
    assert host["result"] == local["result"]
    claimed = next(event for event in service.client.events(job_ids[1]) if event["type"] == "JobClaimed")
    assert claimed["data"]["worker"].endswith(f"-{working.pid}")


@pytest.mark.parametrize("module", ["sqlalchemy", "starlette", "uvicorn", "pydantic", "alembic", "matplotlib"])
def test_what_the_service_needs_is_not_there(python: Path, module: str) -> None:
    finished = run(python, module)
    assert f"No module named {module}" in finished.stderr


@pytest.mark.parametrize("arguments", [["ktrdr", "--help"], ["ktrdr", "host-worker", "--help"], ["host_worker", "-h"]])
def test_help_is_there(python: Path, arguments: list[str]) -> None:
    finished = run(python, *arguments)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


def test_a_command_that_needs_more_says_what_to_install(python: Path) -> None:
    finished = run(python, "ktrdr", "serve")
    assert finished.returncode == 1
    assert "which is not installed\n  fix: pip install 'ktrdr[service]'\n" in finished.stderr


@pytest.mark.parametrize("arguments", [["ktrdr", "host-worker"], ["host_worker"]])
def test_a_host_worker_without_its_extra_says_what_to_install(bare_python: Path, arguments: list[str]) -> None:
    finished = run(bare_python, *arguments)
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: numpy, pandas, safetensors, talib, torch, yaml")
    assert finished.stderr.endswith("fix: pip install 'ktrdr[host]'\n")


def test_the_command_line_needs_no_extra(bare_python: Path, service: RunningService) -> None:
    finished = run(bare_python, "ktrdr", "jobs", "list", "--url", service.url)
    assert finished.returncode == 0, finished.stderr
