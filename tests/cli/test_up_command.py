"""`ktrdr up`: everything runs, what dies comes back, and a signal stops all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ended_with_the_test, start
from running_service import PATIENCE_SECONDS, RunningService, wait_until

from ktrdr.client import ServiceUnreachableError


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def up(own_service: RunningService) -> Iterator[subprocess.Popen[str]]:
    with ended_with_the_test(start(own_service, "up", "--json")) as process:
        yield process


def parts_of(up: subprocess.Popen[str]) -> dict[str, int]:
    assert up.stdout
    greeting = json.loads(up.stdout.readline())
    found: dict[str, int] = greeting["processes"]
    return found


def test_a_part_that_is_killed_comes_back_and_a_signal_stops_everything(
    up: subprocess.Popen[str], own_service: RunningService
) -> None:
    parts = parts_of(up)
    assert list(parts) == ["serve", "worker", "scheduler"]
    assert own_service.client.ready()["status"] == "ok"
    os.kill(parts["serve"], signal.SIGKILL)
    assert up.stderr
    told = (line for line in up.stderr if line.startswith("serve "))  # the parts may say something as well
    assert next(told) == "serve was ended by signal 9; starting it again in 1 s\n"
    assert next(told).startswith("serve runs again (process ")
    own_service.wait_until_serving()
    up.send_signal(signal.SIGTERM)
    up.wait(PATIENCE_SECONDS)
    assert up.returncode == 0
    with pytest.raises(ServiceUnreachableError):
        own_service.client.ready()
    assert not any(is_alive(process_id) for process_id in parts.values())


def test_ctrl_c_is_a_clean_end(up: subprocess.Popen[str]) -> None:
    parts = parts_of(up)
    up.send_signal(signal.SIGINT)
    _, told = up.communicate(timeout=PATIENCE_SECONDS)
    assert up.returncode == 0
    assert told.splitlines()[-2:] == ["stopping", "stopped"]
    assert not any(is_alive(process_id) for process_id in parts.values())


def test_the_parts_do_not_outlive_it_however_it_ends(up: subprocess.Popen[str]) -> None:
    parts = parts_of(up)
    up.kill()
    wait_until(lambda: not any(is_alive(process_id) for process_id in parts.values()))


def test_a_port_in_use_is_told(service: RunningService) -> None:
    process = start(service, "up")
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert told == (
        f"error: port {service.port} of 127.0.0.1 cannot be used (Address already in use); "
        "stop what listens there, or choose another with KTRDR_PORT\n"
    )


def test_an_address_that_others_can_reach_is_refused(own_service: RunningService) -> None:
    own_service.environment["KTRDR_HOST"] = "0.0.0.0"
    process = start(own_service, "up")
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "KTRDR_HOST: '0.0.0.0' can be reached from other machines" in told
