"""Help: fast, complete, with an example for every command."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from commands import ktrdr

from ktrdr import __version__, cli

HEAVY = ("rich", "sqlalchemy", "alembic", "httpx2", "torch", "pandas", "numpy", "pydantic", "starlette", "uvicorn")


def every_command(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = command.commands.items() if isinstance(command, click.Group) else ()
    return [path, *(found for name, one in below for found in every_command(one, (*path, name)))]


COMMANDS = every_command(cli._ktrdr)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, json\n"
        "from ktrdr.cli import run; run(['--help'])\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not {module.partition(".")[0] for module in json.loads(ran.stderr)} & set(HEAVY)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself_with_an_example(
    capsys: pytest.CaptureFixture[str], path: tuple[str, ...], option: str
) -> None:
    ran = ktrdr(capsys, *path, option)
    assert ran.code == 0
    assert "Examples:\n" in ran.out
    assert " ".join(("ktrdr", *path)) in ran.out.partition("Examples:")[2]


@pytest.mark.parametrize("path", [path for path in COMMANDS if path], ids=" ".join)
def test_every_command_that_gives_data_can_give_json(path: tuple[str, ...]) -> None:
    command: click.Command = cli._ktrdr
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    gives_no_data = path[0] in ("serve", "worker", "scheduler", "host-worker", "completion")
    if not isinstance(command, click.Group) and not gives_no_data:
        assert "--json" in [option for parameter in command.params for option in parameter.opts]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ktrdr(capsys, "--version").out == f"ktrdr {__version__}\n"


def test_a_mistyped_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "job", "list")
    assert ran.code == 2
    assert ran.err == "error: No such command 'job'. Did you mean 'jobs'?\n  fix: see ktrdr --help\n"


def test_a_mistyped_option_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "train", "x", "--symbol", "AAPL")
    assert ran.code == 2
    assert "--symbols" in ran.err


def test_a_group_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "jobs")
    assert ran.code == 2
    assert ran.err.startswith("Usage: ktrdr jobs")


def test_the_program_runs_as_a_module() -> None:
    ran = subprocess.run([sys.executable, "-m", "ktrdr", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"ktrdr {__version__}\n"
