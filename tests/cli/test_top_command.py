"""`ktrdr top`: once into a pipe, as JSON for each change, and live in a real terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from commands import ktrdr, start
from running_service import RunningService

from ktrdr import sample
from ktrdr.cli.board import Board
from ktrdr.cli.board_picture import bar, picture, sparkline

ENDLESS = (
    sample.strategies()["trend_follower"]
    .replace("epochs: 40", "epochs: 100000")
    .replace("  early_stopping", "  # early_stopping")
)


def test_one_picture_shows_lanes_queue_and_counts(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    running = service.client.train(ENDLESS, symbols=["IBM"])
    for happened in running.follow():
        if happened.view["type"] == "EpochFinished":
            break
    waiting = service.client.train(ENDLESS, target="host", priority=1000)
    ran = ktrdr(capsys, "top", "--url", service.url)
    found = ktrdr(capsys, "top", "--once", "--json", "--url", service.url).json
    for job in (running, waiting):
        job.cancel()
    running.wait()
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "1 running" in ran.out  # the worker of this service has one slot
    assert f"  {running.id[-8:]}  trend_follower over IBM  " in ran.out
    assert "of 100000  loss 0." in ran.out
    assert "▁" in ran.out or "█" in ran.out
    assert f"{waiting.id[-8:]}  trend_follower over" in ran.out
    assert ", priority 1000: no host worker" in ran.out
    assert [job["id"] for job in found["running"]] == [running.id]
    assert found["queue"][0]["id"] == waiting.id
    assert found["running"][0]["losses"]
    assert found["counts"]["queued"] >= 1


def test_each_change_is_one_json_object_across_a_restart(own_service: RunningService) -> None:
    own_service.start("serve")
    own_service.import_samples()
    process = start(own_service, "top", "--json")
    assert process.stdout is not None

    def until(reached: Any) -> dict[str, Any]:
        assert process.stdout is not None
        while True:
            board: dict[str, Any] = json.loads(process.stdout.readline())
            if reached(board):
                return board

    try:
        assert json.loads(process.stdout.readline())["queue"] == []
        job = own_service.client.train("trend_follower")
        board = until(lambda board: board["queue"])
        assert [one["id"] for one in board["queue"]] == [job.id]
        assert board["last_event"]["sentence"].endswith("was submitted")
        own_service.kill("serve")
        until(lambda board: board["is_away"])
        own_service.start("serve")
        own_service.client.cancel(job.id)
        board = until(lambda board: board["counts"].get("cancelled") == 1 and not board["is_away"])
        assert board["queue"] == []
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="reads a terminal as Linux gives it")
def test_in_a_terminal_it_is_live_and_q_ends_it(service: RunningService) -> None:
    ours, theirs = pty.openpty()
    environment = service.environment | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ktrdr", "top"], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        seen = b""
        while b"q ends" not in seen:
            seen += os.read(ours, 65536)
        assert b"Workers" in seen
        job = service.client.train("trend_follower", target="host", labels={"from": "top"})
        job.cancel()
        while job.id[-8:].encode() not in seen:
            seen += os.read(ours, 65536)
        os.write(ours, b"q")
        try:
            while os.read(ours, 65536):
                pass
        except OSError:  # what Linux says once the other end is closed
            pass
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_parts_of_a_picture() -> None:
    assert [bar(share) for share in (0, 0.5, 2)] == ["░" * 20, "█" * 10 + "░" * 10, "█" * 20]
    assert (sparkline([]), sparkline([1.0, 1.0]), sparkline([3.0, 1.0, 2.0])) == ("", "▁▁", "█▁▅")
    assert len(sparkline([float(number) for number in range(100)], 24)) == 24
    board = Board(url="http://x", position=0, counts={}, workers=[], running={}, queue=[], losses={}, is_away=True)
    text = "\n".join("".join(part for part, _ in line) for line in picture(board))
    assert "the service is away" in text
    assert "none; start one with: ktrdr worker" in text
