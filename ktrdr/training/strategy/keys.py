"""Reads a map by a table of its keys: each key is checked, defaulted or reported. Imports the findings only.

A section of the grammar is a tuple of `Key`; adding a key to the language is adding a line to its table. A check that
is `described` also says as a JSON Schema what it accepts; `schema.py` makes the schema of a whole file of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ktrdr.training.strategy.findings import WRONG, Findings, Path, nearest, shown

#: Takes a value, its path and the findings; returns the value to use, or records a fault and returns `WRONG`.
Check = Callable[[Any, Path, Findings], Any]

#: A JSON Schema (draft 2020-12) as plain data.
Schema = dict[str, Any]

REQUIRED: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class Described:
    """A check that says what it accepts. It never rejects what the schema allows but for what no schema can say."""

    check: Check
    schema: Schema | Callable[[], Schema]

    def __call__(self, value: Any, path: Path, findings: Findings) -> Any:
        return self.check(value, path, findings)


def described(schema: Schema | Callable[[], Schema]) -> Callable[[Check], Check]:
    """Attaches the schema to the decorated check; a function is asked for it late, when every table is complete."""
    return lambda check: Described(check, schema)


def schema_of(check: Check) -> Schema:
    """What the check accepts; anything at all when it is not described."""
    if not isinstance(check, Described):
        return {}
    return check.schema() if callable(check.schema) else check.schema


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a map. With a default of None a null in the file means the same as leaving the key out."""

    name: str
    check: Check
    default: Any = REQUIRED
    aliases: tuple[str, ...] = ()
    #: Shown when a required key is missing.
    example: str = ""
    #: What the key is for, as editors and the reference show it, in place of the words in `descriptions.py`.
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as it was given, with the path at which it was given."""

    value: Any
    path: Path


Entries = dict[str, Entry]


@dataclass(slots=True)
class Section:
    """The checked values of one map. A key whose value was wrong reads as None and makes `is_wrong` true."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    #: Where each key that was given stands in the file, under its canonical name.
    given: dict[str, Path] = field(default_factory=dict)
    is_wrong: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def where(self, name: str) -> Path:
        return self.given.get(name, (*self.path, name))


def entries(value: object, path: Path, findings: Findings) -> Entries | None:
    """The entries of a map; None, and a fault, when `value` is no map."""
    if not isinstance(value, Mapping):
        findings.wrong(path, f"{shown(value)} is not a map", "keys and values are wanted here")
        return None
    return {name: Entry(child, (*path, name)) for name, child in value.items()}


def read(given: Entries | None, path: Path, keys: Sequence[Key], findings: Findings) -> Section:
    """Checks every entry against its key; keys that the table does not know are reported as without effect."""
    section = Section(path)
    if given is None:
        section.is_wrong = True
        return section
    known = [name for key in keys for name in key.names]
    for key in keys:
        _read_key(section, given, key, findings)
    report_unknown(given, known, findings)
    return section


def read_overlaid(below: Entries, above: Entries, path: Path, keys: Sequence[Key], findings: Findings) -> Section:
    """Reads two maps as one. Where both have a key `above` wins; the other value must be right all the same, and is
    reported as without effect unless it says the same."""
    losing = {name: entry for name, entry in below.items() if name in above}
    for key in keys:
        for name in losing.keys() & set(key.names):
            _read_key(Section(path), losing, key, findings)
            if losing[name].value != above[name].value:
                winner = ".".join(map(str, above[name].path))
                findings.warn(losing[name].path, f"{shown(losing[name].value)} has no effect: {winner} wins")
    report_unknown(losing, [name for key in keys for name in key.names], findings)
    return read(below | above, path, keys, findings)


def read_variant(
    given: Entries | None, path: Path, selector: Key, variants: Mapping[str, tuple[Key, ...]], findings: Findings
) -> Section:
    """Reads a map whose keys depend on one of them, the selector; its value is a key of `variants`.

    A key that only another variant reads is reported as without effect.
    """
    section = Section(path)
    if given is None:
        section.is_wrong = True
        return section
    _read_key(section, given, selector, findings)
    if section.is_wrong:
        return section
    chosen = section[selector.name]
    own = {name for key in (selector, *variants[chosen]) for name in key.names}
    others = {name for variant in variants.values() for key in variant for name in key.names} - own
    for name, entry in given.items():
        if name in others:
            findings.warn(entry.path, f"{name!r} has no effect with {selector.name} {chosen!r}")
    rest = {name: entry for name, entry in given.items() if name not in others and name not in selector.names}
    parameters = read(rest, path, variants[chosen], findings)
    parameters.values[selector.name] = chosen
    parameters.given |= section.given
    return parameters


def report_unknown(given: Entries, known: Iterable[str], findings: Findings) -> None:
    for name, entry in given.items():
        if name not in known and not findings.is_full:
            fix = f"the nearest known key is {nearest(name, known)!r}"
            findings.warn(entry.path, f"{shown(name)} is not a known key and has no effect", fix)


def _read_key(section: Section, given: Entries, key: Key, findings: Findings) -> None:
    found = [name for name in key.names if name in given]
    if len(found) > 1:
        section.is_wrong = True
        findings.wrong(given[found[1]].path, f"{found[1]!r} means the same as {found[0]!r}", "keep one of the two")
        return
    entry = given[found[0]] if found else None
    if entry is None or (entry.value is None and key.default is None):
        if key.default is REQUIRED:
            section.is_wrong = True
            fix = f"for example {key.example}" if key.example else "it must be given"
            findings.wrong((*section.path, key.name), f"{key.name!r} is missing", fix)
        else:
            section.values[key.name] = key.default
            findings.defaults.add((*section.path, key.name))
        return
    section.given[key.name] = entry.path
    value = key.check(entry.value, entry.path, findings)
    if value is WRONG:
        section.is_wrong = True
    else:
        section.values[key.name] = value
