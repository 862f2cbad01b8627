"""What reading a strategy finds: faults and warnings, collected so that all of them are told at once.

Also the words that all findings share: how a value is shown, which known name is nearest. Imports the faults only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from ktrdr.training.faults import Fault

Path = tuple[str | int, ...]

#: Stands for a value that was wrong; the fault is in the findings already.
WRONG: Final[Any] = object()

#: A person mends a file in rounds; more at once helps nobody and would let a hostile file buy time.
MOST_FINDINGS = 200


class Findings:
    """Faults and warnings in the order in which they were met."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        #: Where a default stands in for what the file does not say.
        self.defaults: set[Path] = set()

    @property
    def is_full(self) -> bool:
        return len(self.faults) + len(self.warnings) >= MOST_FINDINGS

    def wrong(self, path: Path, problem: str, fix: str = "") -> Any:
        """Records a fault and returns `WRONG`, so that a check can end with it."""
        if not self.is_full or not self.faults:  # however many warnings came before, one fault is always kept
            self.faults.append(Fault(path, problem, fix))
        return WRONG

    def warn(self, path: Path, problem: str, fix: str = "") -> None:
        if not self.is_full:
            self.warnings.append(Fault(path, problem, fix))


def shown(value: object) -> str:
    """The value as a fault shows it: as the file would write it, and short."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "a map"
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "...")
        case Sequence():
            return "an empty list" if not value else f"a list of {len(value)}"
        case int() if value.bit_length() > 128:
            return "a number of more than 38 digits"
        case _:
            return str(value)[:60]


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like `name`; empty when none is known."""
    found = get_close_matches(name.lower(), known, n=1, cutoff=0.0)
    return found[0] if found else ""


def one_of(names: Iterable[str]) -> str:
    return "one of " + ", ".join(names)
