"""What the API starts ends with it, also when it is killed."""

from __future__ import annotations

from pathlib import Path

from processes import children
from running_service import RunningService, wait_until


def test_the_process_that_reads_files_does_not_outlive_a_killed_api(own_service: RunningService) -> None:
    own_service.start("serve")
    assert own_service.http.put("/datasets", content=b"").status_code == 422  # starts it
    helpers = children(own_service.processes["serve"].pid)
    assert helpers
    own_service.kill("serve")
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in helpers))
