"""The token: who has it may do everything, who has not nothing; and it is shown nowhere."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from running_service import RunningService, wait_until
from strategies import short

from ktrdr.client import ApiError, Client

TOKEN = secrets.token_hex(16)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that wants the token, and listens to other machines."""
    service = RunningService(tmp_path_factory.mktemp("guarded") / "home", KTRDR_TOKEN=TOKEN, KTRDR_HOST="0.0.0.0")
    try:
        service.start("serve")
        yield service
    finally:
        service.close()


def ktrdr(service: RunningService, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**service.environment, "KTRDR_TOKEN": token}
    command = [sys.executable, "-m", "ktrdr", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer another"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/jobs"), ("POST", "/leases"), ("GET", "/nothing/here")])
def test_nobody_may_do_anything_without_the_token(
    guarded: RunningService, headers: dict[str, str], method: str, path: str
) -> None:
    answer = httpx2.request(method, f"{guarded.url}/api/v1{path}", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "/problems/unauthorized"
    assert TOKEN not in answer.text


def test_who_has_the_token_may(guarded: RunningService) -> None:
    answer = httpx2.get(f"{guarded.url}/api/v1/jobs", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    with Client(guarded.url, token=TOKEN) as client:
        assert list(client.jobs()) == []
    with Client(guarded.url) as client, pytest.raises(ApiError, match="the request had none"):
        list(client.jobs())


def test_whether_the_service_lives_may_be_asked_by_anyone(guarded: RunningService) -> None:
    assert httpx2.get(f"{guarded.url}/healthz").status_code == 200


def test_the_command_line_sends_the_token_of_its_environment(guarded: RunningService) -> None:
    assert ktrdr(guarded, "jobs", "list", token=TOKEN).returncode == 0
    refused = ktrdr(guarded, "jobs", "list")
    assert refused.returncode == 1
    assert "KTRDR_TOKEN" in refused.stderr


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_settings_do_not_show_it(guarded: RunningService, form: list[str]) -> None:
    shown = ktrdr(guarded, "config", *form, token=TOKEN)
    assert "KTRDR_TOKEN" in shown.stdout
    assert "***" in shown.stdout
    assert TOKEN not in shown.stdout


def test_a_token_that_is_none_is_not_repeated_in_the_error(guarded: RunningService) -> None:
    told = ktrdr(guarded, "config", token="too short")
    assert told.returncode == 2
    assert "its value is not possible" in told.stderr
    assert "too short" not in told.stderr


def test_a_host_worker_takes_its_token_out_of_the_list_of_processes(guarded: RunningService, tmp_path: Path) -> None:
    with Client(guarded.url, token=TOKEN) as client, (tmp_path / "log").open("wb") as log:
        from ktrdr import sample

        client.import_prices(sample.prices(), filename="prices.csv.gz")
        environment = {name: value for name, value in guarded.environment.items() if name != "KTRDR_TOKEN"}
        command = [sys.executable, "-m", "ktrdr", "host-worker", "--token", TOKEN]
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            job_id = client.submit(short(), symbols=["GOOG"], target="host")["id"]
            wait_until(lambda: client.job(job_id)["status"] == "completed")
            shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
            assert "host_worker" in shown
            assert TOKEN not in shown
        finally:
            process.terminate()
            assert process.wait(60) == 0
    assert TOKEN not in (tmp_path / "log").read_text()


def test_a_host_worker_that_is_not_wanted_says_so_and_ends(guarded: RunningService) -> None:
    told = ktrdr(guarded, "host-worker", token="x" * 16)
    assert told.returncode == 1
    assert told.stderr.rstrip().endswith(
        f"error: the service at {guarded.url} does not take this worker: the token is none of this service's"
    )


def test_an_address_for_others_needs_a_token_and_is_warned_of(guarded: RunningService) -> None:
    refused = ktrdr(guarded, "serve")
    assert refused.returncode == 2
    assert "KTRDR_TOKEN" in refused.stderr
    log = (guarded.home.parent / "serve.log").read_text()
    assert "there is no TLS" in log
    assert TOKEN not in log
