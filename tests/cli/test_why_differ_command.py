"""`ktrdr audit why-differ` against a real service."""

from __future__ import annotations

import pytest
from commands import ktrdr
from running_service import RunningService
from strategies import short


@pytest.fixture(scope="module")
def pair(service: RunningService) -> tuple[str, str]:
    """Two completed jobs whose seeds and thresholds differ."""
    other = short(2)
    other["decisions"]["confidence_threshold"] = 0.7
    ids = (
        service.client.submit(short(2), symbols=["IBM"], seed=1)["id"],
        service.client.submit(other, symbols=["IBM"], seed=2)["id"],
    )
    for job_id in ids:
        service.wait_for(job_id, "completed")
    return ids


def test_it_says_why_in_words_and_tables(
    capsys: pytest.CaptureFixture[str], service: RunningService, pair: tuple[str, str]
) -> None:
    ran = ktrdr(capsys, "audit", "why-differ", *pair, "--url", service.url)
    assert ran.code == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0] == "the weights differ from epoch 1 on; 2 differences, of which 1 can be why"
    assert "* strategy.decisions.confidence_threshold 0.5 0.7 metrics only" in lines
    assert "* seed 1 2 weights" in lines
    assert any(line.startswith("all accuracy 0.") for line in lines)
    assert "they differ from epoch 1 of 2 on" in ran.out


def test_json_is_what_the_service_says(
    capsys: pytest.CaptureFixture[str], service: RunningService, pair: tuple[str, str]
) -> None:
    ran = ktrdr(capsys, "audit", "why-differ", *pair, "--json", "--url", service.url)
    assert ran.json == service.client.why_differ(*pair)


def test_a_job_and_itself_are_the_same(
    capsys: pytest.CaptureFixture[str], service: RunningService, pair: tuple[str, str]
) -> None:
    ran = ktrdr(capsys, "audit", "why-differ", pair[0], pair[0], "--url", service.url)
    assert ran.out.splitlines()[0] == "the same training; equal bits"
    assert "equal in all 2 epochs that both have" in ran.out
    assert "what was not the same" not in ran.out


def test_a_counterfactual_is_followed_to_its_end(
    capsys: pytest.CaptureFixture[str], service: RunningService, pair: tuple[str, str]
) -> None:
    arguments = ("--counterfactual", "seed", "--follow", "--url", service.url)
    ran = ktrdr(capsys, "audit", "why-differ", *pair, *arguments)
    assert ran.code == 0
    assert f"was submitted as a counterfactual of {pair[0]}" in ran.out
    assert "completed after 2 epochs" in ran.out


def test_what_cannot_be_tried_is_told_with_its_fix(
    capsys: pytest.CaptureFixture[str], service: RunningService, pair: tuple[str, str]
) -> None:
    ran = ktrdr(capsys, "audit", "why-differ", *pair, "--counterfactual", "device", "--url", service.url)
    assert ran.code == 2
    assert "start a worker with that device" in ran.err
    ran = ktrdr(capsys, "audit", "why-differ", *pair, "--follow", "--url", service.url)
    assert ran.code == 2
    assert "--follow needs --counterfactual" in ran.err
    assert ktrdr(capsys, "audit", "why-differ", pair[0], "0" * 36, "--url", service.url).code == 5
