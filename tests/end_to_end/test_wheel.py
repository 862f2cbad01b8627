"""The installed wheel works outside the checkout: migrations, host worker, sample data and strategies are in it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with nothing but the wheel in it; what it needs is lent by this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    bin_folder = folder / "venv" / "bin"
    subprocess.run([bin_folder / "pip", "install", "--quiet", "--no-deps", wheel], check=True, capture_output=True)
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    lent = folder / "venv" / "lib" / python / "site-packages" / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib"))  # its own .pth files, and so the checkout, are not followed
    return bin_folder


def run(command: list[str | Path], folder: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["KTRDR_HOME"] = str(folder / "home")
    finished = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_the_wheel_is_used_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(
        [installed / "python", "-c", "import ktrdr, host_worker; print(ktrdr.__file__, host_worker.__file__)"], tmp_path
    )
    assert str(ROOT) not in where.replace(str(installed.parents[1]), "")


def test_the_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "trend_follower" in run([installed / "ktrdr", "demo"], tmp_path)


def test_the_pages_of_the_documentation_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    script = (
        "from importlib.resources import files; api = files('ktrdr.api');"
        "print(*(one.name for folder in ('docs', 'vendor/swagger-ui') for one in (api / folder).iterdir()))"
    )
    found = run([installed / "python", "-c", script], tmp_path).split()
    assert {"index.html", "page.js", "page.css", "swagger-ui-bundle.js", "swagger-ui.css", "LICENSE"} <= set(found)


def test_the_host_worker_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "--url" in run([installed / "python", "-m", "host_worker", "--help"], tmp_path)
