"""Disks that can be filled, and services that live on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import RunningService
from small_disk import SizeLimit, SmallDisk, file_system

sys.path.append(str(Path(__file__).parents[1] / "jobs"))
sys.path.append(str(Path(__file__).parents[1] / "store"))


@pytest.fixture(params=["full file system", "limited size of files"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    """Both kinds of disk; where the kernel gives no file system of our own, the limit stands for it."""
    if request.param == "limited size of files":
        yield SizeLimit(tmp_path)
        return
    with file_system(tmp_path) as disk:
        yield disk or SizeLimit(tmp_path)


@pytest.fixture
def service_on_disk(small_disk: SmallDisk) -> Iterator[RunningService]:
    """An installation on the small disk with nothing started yet. What its parts print lies on another disk."""
    running = RunningService(small_disk.folder / "home", prefix=small_disk.prefix)
    try:
        yield running
    finally:
        running.close()
