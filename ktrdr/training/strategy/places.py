"""On which line of a file each of its values stands, for messages and editors. Imports yaml only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import yaml

from ktrdr.training.strategy.findings import Path


def lines_of(text: str) -> dict[Path, int]:
    """Path → line, counted from 1, of every key and item; empty for a text that is not YAML.

    What an alias repeats is not listed again. The text has been read before, so that its size is known to be bounded.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return {}
    return dict(_walk(root, (), set())) if root is not None else {}


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of the value at `path`, or of the nearest thing around it that is in the file."""
    found = (lines.get(path[:length]) for length in range(len(path), 0, -1))
    return next((line for line in found if line is not None), None)


def _walk(node: yaml.Node, path: Path, seen: set[int]) -> Iterator[tuple[Path, int]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    children: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(position, item, item) for position, item in enumerate(node.value)]
    for part, mark, value in children:
        yield (*path, part), mark.start_mark.line + 1
        yield from _walk(value, (*path, part), seen)
