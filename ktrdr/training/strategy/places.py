"""At which line and column of a file each of its values stands, for messages and editors. Imports yaml and the reader.

A place is counted as people and editors count: the first character of a file is at line 1, column 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import yaml

from ktrdr.training.faults import Fault
from ktrdr.training.strategy.findings import Path
from ktrdr.training.strategy.reader import LOADER, MOST_BYTES


class Place(NamedTuple):
    line: int
    column: int


def places_of(text: str) -> dict[Path, Place]:
    """Path → place of every key and item; empty for a text that is not YAML or larger than a strategy file may be.

    What an alias repeats is not listed again.
    """
    if len(text) > MOST_BYTES:
        return {}
    try:
        root = yaml.compose(text, Loader=LOADER)
    except (yaml.YAMLError, UnicodeEncodeError, RecursionError):
        return {}
    return dict(_walk(root, (), set())) if root is not None else {}


def place_of(fault: Fault, places: Mapping[Path, Place]) -> Place | None:
    """The place of a fault: where the text could not be read further, or else that of its value in the file, or of the
    nearest thing around it that is there."""
    if fault.at is not None:
        return Place(*fault.at)
    found = (places.get(fault.path[:length]) for length in range(len(fault.path), 0, -1))
    return next((place for place in found if place is not None), None)


def placed(fault: Fault, places: Mapping[Path, Place]) -> dict[str, str | int | None]:
    """The fault as plain data for people and editors; line and column are None where it is about the whole file."""
    place = place_of(fault, places)
    return {
        "path": fault.dotted,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "detail": fault.problem,
        "fix": fault.fix,
    }


def _walk(node: yaml.Node, path: Path, seen: set[int]) -> Iterator[tuple[Path, Place]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    children: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(position, item, item) for position, item in enumerate(node.value)]
    for part, mark, value in children:
        yield (*path, part), Place(mark.start_mark.line + 1, mark.start_mark.column + 1)
        yield from _walk(value, (*path, part), seen)
