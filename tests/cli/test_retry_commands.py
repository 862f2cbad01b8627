"""`ktrdr jobs retry`, `fork` and `checkpoints` against a real service."""

from __future__ import annotations

import pytest
from commands import ktrdr
from running_service import RunningService
from strategies import short


@pytest.fixture(scope="module")
def parent(service: RunningService) -> str:
    """A completed job with checkpoints of the epochs 1 and 2."""
    found = service.client.submit(short(2), symbols=["IBM"], checkpoint_every_epochs=1)["id"]
    service.wait_for(found, "completed")
    return found


def test_the_checkpoints_are_listed(capsys: pytest.CaptureFixture[str], service: RunningService, parent: str) -> None:
    head, *rows = ktrdr(capsys, "jobs", "checkpoints", parent, "--url", service.url).out.splitlines()
    assert head.split() == ["epoch", "bytes", "digest"]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    listed = ktrdr(capsys, "jobs", "checkpoints", parent, "--json", "--url", service.url).json["checkpoints"]
    assert [one["digest"] for one in listed] == [row.split()[2] for row in rows]


def test_a_fork_is_followed_to_its_end(
    capsys: pytest.CaptureFixture[str], service: RunningService, parent: str
) -> None:
    arguments = ("--epoch", "1", "--set", "training.epochs=3", "--set", "training.early_stopping=false", "--follow")
    ran = ktrdr(capsys, "jobs", "fork", parent, *arguments, "--url", service.url)
    assert ran.code == 0
    assert f"was submitted as a fork of {parent} from epoch 1 on" in ran.out
    assert "the training goes on after epoch 1" in ran.out
    assert "completed after 3 epochs" in ran.out


def test_a_retry_names_the_new_job(capsys: pytest.CaptureFixture[str], service: RunningService, parent: str) -> None:
    ran = ktrdr(capsys, "jobs", "retry", parent, "--from-checkpoint", "--url", service.url)
    job_id = ran.out.strip()
    assert ran.code == 0
    assert f"a retry of {parent}" in ran.err
    assert service.wait_for(job_id)["result"] == service.client.job(parent)["result"]
    page = ktrdr(capsys, "jobs", "show", job_id, "--url", service.url).out
    assert ["retry", "of", parent] in [line.split() for line in page.splitlines()]
    events = ktrdr(capsys, "jobs", "events", job_id, "--url", service.url).out
    assert "as a retry of" in events
    assert "from epoch 2 on" in events


def test_what_is_wrong_with_a_fork_is_told(
    capsys: pytest.CaptureFixture[str], service: RunningService, parent: str
) -> None:
    ran = ktrdr(capsys, "jobs", "fork", parent, "--set", "training.epoch=9", "--url", service.url)
    assert ran.code == 2
    assert "changes.training.epoch" in ran.err
    assert "'epochs'" in ran.err
    ran = ktrdr(capsys, "jobs", "fork", parent, "--epoch", "7", "--set", "training.epochs=9", "--url", service.url)
    assert ran.code == 1
    assert "fix: fork from one of these epochs: 1, 2" in ran.err
    assert ktrdr(capsys, "jobs", "fork", parent, "--set", "training.epochs", "--url", service.url).code == 2
