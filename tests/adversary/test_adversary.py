"""Attackers of every class and strength; `run.py` sends thousands of them."""

from __future__ import annotations

import pytest
from adversary.mutations import CLASSES, ROLL_BACK
from adversary.run import KEPT, Tally, strike
from adversary.victim import Victim, make_victim

from ktrdr.audit import verify

MUTATIONS = 120


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    return make_victim(tmp_path_factory.mktemp("victim") / "home")


def test_nothing_is_found_in_a_log_that_nobody_attacked(victim: Victim) -> None:
    verdict = verify(victim.store, kept=[(KEPT, victim.kept)])
    assert verdict.findings == ()


@pytest.fixture(scope="module")
def tally(victim: Victim, tmp_path_factory: pytest.TempPathFactory) -> Tally:
    return strike(victim, range(MUTATIONS), tmp_path_factory.mktemp("attacked"))


def test_a_checkpoint_that_was_kept_elsewhere_shows_every_mutation(tally: Tally) -> None:
    assert tally.missed == []
    assert tally.found_with_kept == tally.made
    assert tally.made.keys() == CLASSES.keys()


def test_the_attackers_are_strong_enough_to_hide_without_it(tally: Tally) -> None:
    assert tally.found_alone[ROLL_BACK] == 0
    for kind in ("update past the triggers", "insert", "truncate the tail", "fork with the same key"):
        assert tally.found_alone[kind] < tally.made[kind]
