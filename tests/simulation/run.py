"""Runs seeds of the simulation by hand: `python tests/simulation/run.py --seed 7 --trace` tells the whole story of one.

Without a seed it runs as many as it is asked for and prints the seeds that fail.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.checker import Violation
from simulation.service import simulate


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="the only seed to run")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many to run otherwise (now %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (now %(default)s)")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds) if options.seed is None else [options.seed]
    began, failed, events = time.perf_counter(), 0, 0
    for seed in seeds:
        try:
            events += len(simulate(seed, is_told=options.trace).log)
        except Violation as violation:
            failed += 1
            print(f"seed {seed}: {violation}", flush=True)
    seconds = time.perf_counter() - began
    print(f"{len(seeds)} seeds, {events} events, {failed} violations, {len(seeds) / seconds:.0f} seeds/s")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
