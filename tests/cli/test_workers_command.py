"""`ktrdr workers`, `ktrdr settings`, and what `train` and `jobs show` say of targets, against a real service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import ktrdr
from running_service import RunningService, wait_until

JOB_ON_GPU = ("train", "trend_follower", "--symbols", "FB", "--target", "host")


@pytest.fixture
def default_settings(service: RunningService) -> Iterator[None]:
    yield
    service.client.change_settings({"default_target": None, "fair_by": None, "caps": None})


def test_the_workers_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    wait_until(lambda: [one["state"] for one in service.client.workers() if one["kind"] == "local"] == ["alive"])
    found = ktrdr(capsys, "workers", "--json", "--url", service.url).json["workers"]
    local = next(one for one in found if one["kind"] == "local")
    head, *rows = ktrdr(capsys, "workers", "--url", service.url).out.splitlines()
    assert head.split() == ["worker", "kind", "state", "device", "slots", "version", "last", "seen", "busy", "with"]
    assert [local["name"], "local", "alive", "cpu", "1"] in [row.split()[:5] for row in rows]


@pytest.mark.usefixtures("default_settings")
def test_settings_are_set_shown_and_reset(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    ran = ktrdr(
        capsys, "settings", "set", "--default-target", "host", "--fair-by", "desk", "--cap", "desk=rates=2", "--cap",
        "*=4", "--url", service.url,
    )  # fmt: skip
    assert ran.code == 0
    rows = [line.split()[:3] for line in ran.out.splitlines()[1:]]
    assert rows == [["default_target", "host", rows[0][2]], ["fair_by", "desk", rows[1][2]], ["caps", "*:", "4,"]]
    assert ktrdr(capsys, "settings", "show", "--json", "--url", service.url).json == service.client.settings()
    ran = ktrdr(
        capsys, "settings", "set", "--cap", "desk=rates=none", "--reset", "default_target", "--url", service.url
    )
    assert "auto (default)" in ran.out
    assert service.client.settings()["caps"]["value"] == {"*": 4}


@pytest.mark.usefixtures("default_settings")
def test_a_cap_without_effect_is_warned_of(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    ran = ktrdr(capsys, "settings", "set", "--cap", "desk=rates=2", "--url", service.url)
    assert ran.err == "warning: the cap of desk=rates holds for older jobs only: fair_by is not set now\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--cap", "rates"), "is not SHARE=NUMBER"),
        (("--cap", "desk=rates=-1"), "is not SHARE=NUMBER"),
        (("--fair-by", "a b"), "fair_by"),
        (("--fair-by", "desk", "--reset", "fair_by"), "set and reset at once"),
        ((), "nothing is named"),
    ],
)
def test_what_cannot_be_set_is_told(
    capsys: pytest.CaptureFixture[str], service: RunningService, options: tuple[str, ...], told: str
) -> None:
    ran = ktrdr(capsys, "settings", "set", *options, "--url", service.url)
    assert (ran.code, told in ran.err) == (2, True), ran.err


def test_a_job_is_shown_with_its_wishes_and_why_it_waits(
    capsys: pytest.CaptureFixture[str], service: RunningService
) -> None:
    job_id = ktrdr(
        capsys, *JOB_ON_GPU, "--require-gpu", "--checkpoint-every-epochs", "5", "--checkpoint-every-seconds", "never",
        "--url", service.url,
    ).out.strip()  # fmt: skip
    shown = ktrdr(capsys, "jobs", "show", job_id, "--url", service.url).out
    submission = service.client.job(job_id)["submission"]
    service.client.cancel(job_id)
    assert "host, with a GPU\n" in shown
    assert "no host worker with a GPU is alive; without one the job fails after 30 s\n" in shown
    assert submission["checkpoints"] == {"every_epochs": 5, "every_seconds": None}


def test_a_job_that_ran_without_the_gpu_it_would_rather_have_says_why(
    capsys: pytest.CaptureFixture[str], service: RunningService
) -> None:
    job_id = service.client.submit("trend_follower", symbols=["FB"], prefer_gpu=True, target="local")["id"]
    service.wait_for(job_id)
    shown = ktrdr(capsys, "jobs", "show", job_id, "--url", service.url).out
    told = ktrdr(capsys, "jobs", "events", job_id, "--url", service.url).out
    assert "because no worker with a GPU was alive\n" in shown
    assert "began attempt 1 on cpu; it would rather have a GPU, but no worker with a GPU was alive" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--require-gpu", "--prefer-gpu"), "a job that requires a GPU cannot do without one"),
        (("--checkpoint-every-seconds", "often"), "neither a number nor 'never'"),
        (("--checkpoint-every-seconds", "0"), "checkpoint_every_seconds"),
        (("--checkpoint-every-epochs", "0"), "0 is not in the range"),
    ],
)
def test_wishes_that_cannot_be_are_told(
    capsys: pytest.CaptureFixture[str], service: RunningService, options: tuple[str, ...], told: str
) -> None:
    ran = ktrdr(capsys, *JOB_ON_GPU, *options, "--url", service.url)
    assert (ran.code, told in ran.err) == (2, True), ran.err
