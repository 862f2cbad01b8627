"""`ktrdr completion`: in a real bash, with and without a service."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ktrdr
from running_service import RunningService

from ktrdr.cli.parts import free_port

PROGRAM = Path(sys.executable).with_name("ktrdr")


def completed(line: str, url: str) -> list[str]:
    """What bash offers at the end of a line."""
    words = line.split(" ")
    script = f"""
        eval "$({PROGRAM} completion bash)"
        COMP_WORDS=({line}{" ''" if not words[-1] else ""}); COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}
        compopt() {{ :; }}  # is for a completion that readline asks for
        _ktrdr_completion {PROGRAM}; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {
        "KTRDR_URL": url,
        "KTRDR_COMPLETION_SECONDS": "60",
        "PATH": f"{PROGRAM.parent}:/usr/bin:/bin",
        "HOME": "/nonexistent",
    }
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return [word for word in ran.stdout.splitlines() if word]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_ids_and_names(service: RunningService) -> None:
    job_id = service.client.submit("trend_follower", target="host")["id"]
    service.client.cancel(job_id)
    assert completed("ktrdr jo", service.url) == ["jobs"]
    assert "--status" in completed("ktrdr jobs list --st", service.url)
    assert completed("ktrdr jobs list --status runn", service.url) == ["running"]
    assert job_id[-8:] in completed("ktrdr jobs show ", service.url)
    assert completed(f"ktrdr jobs show {job_id[:-1]}", service.url) == [job_id]
    assert completed("ktrdr train trend_f", service.url)[0] == "trend_follower"
    assert completed("ktrdr train x --symbols AAPL,IB", service.url) == ["AAPL,IBM"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_without_a_service_only_what_it_would_know_is_missing() -> None:
    nobody = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    assert completed("ktrdr jobs show ", nobody) == []
    assert completed("ktrdr train trend_f", nobody)[0] == "trend_follower"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    ran = ktrdr(capsys, "completion", shell)
    assert ran.code == 0
    assert f"_KTRDR_COMPLETE={shell}_complete" in ran.out


def test_another_shell_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "completion", "bsh")
    assert (ran.code, "Did you mean 'bash'?" in ran.err) == (2, True)
