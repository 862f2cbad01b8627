"""Faults and warnings about what a person wrote, each with its path, the value found there and what would be right.

Imports the standard library only: the grammar, the price import and the API all speak of faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: `fuzzy_sets.momentum.low[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong (or, as a warning, without effect)."""

    #: Keys and list positions from the root of the document; empty for the document as a whole.
    path: tuple[str | int, ...]
    #: A sentence: what is wrong, with the offending value in it.
    problem: str
    #: What would be right: a range, the permitted names, the nearest known key. May be empty.
    fix: str = ""
    #: Line and column, from 1, of a text that could not be read so far that its values have paths.
    at: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def dotted(self) -> str:
        """The path as people write it."""
        return dotted(self.path)

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer (RFC 6901), for problem documents."""
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.path)

    def __str__(self) -> str:
        where = f"{self.dotted}: " if self.path else ""
        return f"{where}{self.problem}" + (f" ({self.fix})" if self.fix else "")


class InvalidInputError(Exception):
    """The input has faults; all of them are in `faults`, none of it was used.

    `warnings` are what would be told of it without them: a key that has no effect is often why another is missing.
    """

    def __init__(self, faults: Sequence[Fault], warnings: Sequence[Fault] = ()) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)
