"""What a worker still hears of a job process that has died."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_service import wait_until

from ktrdr.training.progress import StageStarted
from ktrdr.worker.job_process import JobProcess, JobProcessDiedError


def test_what_a_process_said_before_it_died_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    process = JobProcess("dying_child")
    wait_until(lambda: process._process.poll() is not None)
    said, ended = process.receive_all()
    assert [one.number for one in said if isinstance(one, StageStarted)] == [1, 2]
    assert ended is None
    with pytest.raises(JobProcessDiedError, match="ended with code 3"):
        process.receive_all()
    process.kill()
