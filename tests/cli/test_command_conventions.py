"""What holds for every command: guesses at what was meant, exit codes, colours, and pipes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ktrdr
from running_service import RunningService

from ktrdr.cli import _ktrdr, exit_codes
from ktrdr.cli.exit_codes import EXIT_CODES
from ktrdr.cli.root import SECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "exit-codes.md"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("submit",), "'ktrdr train'"),
        (("follow", "x"), "'ktrdr jobs follow'"),
        (("trian",), "'train'"),
        (("jobs", "lst"), "'list'"),
        (("settings", "shwo"), "'show'"),
        (("jobs", "list", "--status", "runing"), "'running'"),
        (("jobs", "list", "--sttaus", "running"), "'--status'"),
        (("train", "x", "--target", "hots"), "'host'"),
        (("settings", "set", "--reset", "cap"), "'caps'"),
    ],
)
def test_what_is_mistyped_is_guessed(capsys: pytest.CaptureFixture[str], given: tuple[str, ...], meant: str) -> None:
    ran = ktrdr(capsys, *given)
    assert ran.code == 2
    assert f"Did you mean {meant}?" in ran.err


def test_a_mistyped_strategy_is_guessed(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    ran = ktrdr(capsys, "train", "trend_folower", "--url", service.url)
    assert ran.code == 2
    assert "the nearest is 'trend_follower'" in ran.err


def test_what_nobody_could_mean_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "zzzz")
    assert (ran.code, ran.err) == (2, "error: No such command 'zzzz'.\n  fix: see ktrdr --help\n")


def test_every_command_stands_in_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    out = ktrdr(capsys, "--help").out
    places = [out.index(f"\n{section}:\n") for section in SECTIONS]
    assert places == sorted(places)
    for name in _ktrdr.commands:
        assert re.search(rf"^  {name} ", out, re.MULTILINE), name


def test_the_help_and_the_documentation_say_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)]
    assert sorted(codes) == sorted(EXIT_CODES)
    out, page = ktrdr(capsys, "--help").out, PAGE.read_text("utf-8")
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^  {code} +{re.escape(meaning)}$", out, re.MULTILINE)
        assert f"| {code} | {meaning} |" in page


def run(service: RunningService, *arguments: str, **environment: str) -> str:
    """What a process of its own prints into a pipe."""
    clean = {name: value for name, value in service.environment.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "ktrdr", *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True).stdout


def test_colours_are_for_terminals_and_for_those_who_force_them(service: RunningService) -> None:
    plain = run(service, "workers")
    assert plain.startswith("worker ")
    assert "\x1b" not in plain
    forced = run(service, "workers", FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[" in forced
    without = run(service, "workers", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", without)


def test_a_reader_that_has_had_enough_hears_nothing_more(service: RunningService) -> None:
    command = f"{sys.executable} -m ktrdr config --json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], env=service.environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, "")
