"""What is wrong with a log, in sentences with the place in them. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

#: Damage in one place shows in many; more than this helps nobody.
MOST_FINDINGS = 100
#: A state that differs is long; what it begins with tells enough.
_LONGEST = 600
#: What damaged data can lead to where it is read as if it were whole.
DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


@dataclass(slots=True)
class Findings:
    """The first findings, and how many more there are."""

    #: With the position in the log that each is about; 0 for what is beside the log.
    placed: list[tuple[int, str]] = field(default_factory=list)
    left_out: int = 0

    def add(self, sentence: str, position: int = 0) -> None:
        if not self.is_full:
            self.placed.append((position, shortened(sentence)))
        else:
            self.left_out += 1

    @property
    def is_full(self) -> bool:
        """Whether more would be counted only."""
        return len(self.placed) >= MOST_FINDINGS

    def add_all(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.add(sentence)

    def merge(self, other: Findings) -> None:
        for position, sentence in other.placed:
            self.add(sentence, position)
        self.left_out += other.left_out

    def __len__(self) -> int:
        return len(self.placed) + self.left_out

    def sentences(self) -> tuple[str, ...]:
        """In the order of the log; then what is beside it."""
        return tuple(sentence for _, sentence in sorted(self.placed, key=lambda one: (one[0] == 0, one[0])))


def shortened(sentence: str) -> str:
    return sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]} …"
