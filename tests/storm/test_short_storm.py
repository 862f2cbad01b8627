"""A storm short enough for every test run; `python tests/storm/storm.py` makes longer ones."""

from __future__ import annotations

from pathlib import Path

from storm import put_totals, run_storm

SECONDS, SEED = 25.0, 4


def test_after_a_storm_every_job_has_ended_and_no_rule_is_broken(tmp_path: Path) -> None:
    totals = run_storm(tmp_path, seconds=SECONDS, seed=SEED)
    put_totals(totals)  # shown if the test fails
    assert totals.violations == ()
    assert sum(totals.jobs.values()) > 0
    assert sum(totals.damage.values()) > 0
