"""Attacks copies of a log at random and says what `audit verify` finds.

`python tests/adversary/run.py --mutations 10000`

Prints a table: how many mutations of each class were made, and how many were found without and with a checkpoint that
was kept elsewhere. Exit code 1 if one was not found with it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from adversary.mutations import CLASSES, attack
from adversary.victim import Victim, make_victim, open_victim

from ktrdr.audit import verify

KEPT = "the checkpoint that was kept elsewhere"
EACH = 40


class Tally:
    """What was done and what was found, by class."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.found_alone: Counter[str] = Counter()
        self.found_with_kept: Counter[str] = Counter()
        #: Class and seed of each mutation that nothing showed.
        self.missed: list[tuple[str, int]] = []

    def add(self, other: Tally) -> None:
        self.made += other.made
        self.found_alone += other.found_alone
        self.found_with_kept += other.found_with_kept
        self.missed += other.missed

    def table(self) -> Iterator[str]:
        """As a table of Markdown."""
        yield "| class | mutations | found without a checkpoint kept elsewhere | found with one |"
        yield "|---|---:|---:|---:|"
        for kind in CLASSES:
            made = self.made[kind]
            alone, with_kept = _share(self.found_alone[kind], made), _share(self.found_with_kept[kind], made)
            yield f"| {kind} | {made:,} | {alone} | {with_kept} |"


def _share(found: int, made: int) -> str:
    return f"{found:,} ({100 * found / made:.1f} %)" if made else "0"


def strike(victim: Victim, seeds: Sequence[int], scratch: Path) -> Tally:
    """One mutation for each seed, each class in its turn."""
    tally = Tally()
    kinds = list(CLASSES)
    for seed in seeds:
        kind, chance = kinds[seed % len(kinds)], Random(seed)
        database = scratch / f"{seed}.db"
        try:
            while (store := attack(victim, kind, chance, database)) is None:
                pass  # it changed nothing, or no database can hold it
            findings = verify(store, kept=[(KEPT, victim.kept)]).findings
        finally:
            for file in scratch.glob(f"{seed}.db*"):
                file.unlink()
        tally.made[kind] += 1
        tally.found_alone[kind] += any(not finding.startswith(KEPT) for finding in findings)
        tally.found_with_kept[kind] += bool(findings)
        if not findings:
            tally.missed.append((kind, seed))
    return tally


def _strike_elsewhere(home: Path, seeds: Sequence[int]) -> Tally:
    with tempfile.TemporaryDirectory() as scratch:
        return strike(open_victim(home), seeds, Path(scratch))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000, help="how many (now %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one; each has its own (now %(default)s)")
    options = parser.parse_args(arguments)
    began, tally = time.perf_counter(), Tally()
    seeds = range(options.seed, options.seed + options.mutations)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_victim(home)
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            parts = [seeds[first : first + EACH] for first in range(0, len(seeds), EACH)]
            for part in pool.map(_strike_elsewhere, [home] * len(parts), parts):
                tally.add(part)
    print("\n".join(tally.table()))
    for kind, seed in tally.missed:
        print(f"missed: {kind}, seed {seed}")
    print(f"{len(seeds):,} mutations in {time.perf_counter() - began:.0f} s")
    return min(len(tally.missed), 1)


if __name__ == "__main__":
    sys.exit(main())
