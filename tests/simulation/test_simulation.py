"""Thousands of worlds in which everything goes wrong, and in none of them a job is lost, doubled or resurrected.

A failing seed is named by the test; `python tests/simulation/run.py --seed N --trace` tells its whole story.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from history_rules import check_log
from simulation.backends import StoreBackend, make_empty_database
from simulation.checker import Violation
from simulation.mutants import MUTANTS
from simulation.run import main
from simulation.service import simulate

#: As many as a test run has time for; `.ci/run` goes through 10,000.
SEEDS, CHUNK = 200, 50
#: Every planted fault must be found within so many seeds.
SEEDS_PER_MUTANT = 600
SEEDS_IN_STORE, STORE_CHUNK = 80, 20
_MEMORY = Path("/dev/shm")


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_goes_wrong_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + CHUNK):
        try:
            simulate(seed)
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation}")


def test_a_seed_tells_the_same_story_every_time() -> None:
    assert [simulate(seed) for seed in range(20)] == [simulate(seed) for seed in range(20)]


def test_the_story_of_a_seed_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "4", "--trace"]) == 0
    *story, total = capsys.readouterr().out.splitlines()
    log = simulate(4).log
    told = [line for line in story if " log " in line]
    assert [type(recorded.event).__name__ for recorded in log] == [line.split()[4] for line in told]
    assert total.startswith(f"1 seeds, {len(log)} events, 0 violations")


def test_the_rules_of_the_storm_hold_in_simulated_logs() -> None:
    for seed in range(50):
        assert check_log(simulate(seed).log) == [], f"seed {seed}"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_planted_in_the_core_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTANTS[name])
    for seed in range(SEEDS_PER_MUTANT):
        try:
            simulate(seed)
        except Violation:
            return
    pytest.fail(f"{SEEDS_PER_MUTANT} seeds have not shown that {name}")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where databases are made: in memory if there is a place, because each commit waits for the disk."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def empty_database(folder: Path) -> Path:
    return make_empty_database(folder / "empty")


@pytest.mark.parametrize("first", range(0, SEEDS_IN_STORE, STORE_CHUNK))
def test_the_store_records_what_the_core_alone_would(first: int, folder: Path, empty_database: Path) -> None:
    for seed in range(first, first + STORE_CHUNK):
        stored = simulate(seed, partial(StoreBackend, home=folder / f"{seed}", empty=empty_database))
        assert stored == simulate(seed), f"seed {seed}"
