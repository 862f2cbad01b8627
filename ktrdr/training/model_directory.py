"""A saved model's directory: a few files and `SHA256SUMS` over them. Imports the standard library only.

`sha256sum -c SHA256SUMS` proves the files, and the SHA-256 of SHA256SUMS itself is the model's digest, so anyone can
check a model with what every system has.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

SUMS = "SHA256SUMS"
#: The signed statement where a model comes from (`ktrdr.audit.provenance`), in a downloaded one.
PROVENANCE = "provenance.json"
#: What is about the model and no part of it.
BESIDE = frozenset({PROVENANCE})

_LINE = re.compile(r"([0-9a-f]{64})  ([\w.-]+)")


class SavedModelError(Exception):
    """The directory does not hold a saved model as it was written."""


def write_directory(directory: Path, files: Mapping[str, bytes]) -> str:
    """Writes the files and their sums, all or nothing, and returns the model's digest.

    They go into a temporary directory beside the wanted one, are synced, and appear by a rename; a crash leaves at
    most a temporary directory behind. Raises `FileExistsError` when `directory` exists.
    """
    if directory.exists():
        raise FileExistsError(f"{directory} exists already; a saved model is never overwritten")
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, content in {**files, SUMS: sums}.items():
            with (temporary / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o755)  # mkdtemp shuts everyone else out.
        _sync(temporary)
        temporary.rename(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(directory.parent)
    return hashlib.sha256(sums).hexdigest()


def read_directory(directory: Path, names: frozenset[str] | None = None) -> tuple[dict[str, bytes], str]:
    """The files of that very set of names, checked against their sums, and the model's digest.

    Without `names` it is the files that the sums list. What `BESIDE` names may be there too, and does not count.
    Raises `SavedModelError` when a file is missing, extra or changed.
    """
    found = {entry.name for entry in directory.iterdir()} - BESIDE if directory.is_dir() else set()
    if names is None:
        names = frozenset(read_sums(directory)[0])
    if found != names | {SUMS}:
        wrong = [f"{name} is missing" for name in sorted((names | {SUMS}) - found)]
        wrong += [f"{name} does not belong there" for name in sorted(found - names - {SUMS})]
        raise SavedModelError(f"{directory} is no saved model: {', '.join(wrong)}")
    files = {name: (directory / name).read_bytes() for name in sorted(names)}
    listed, digest = read_sums(directory)
    if listed.keys() != files.keys():
        raise SavedModelError(f"{directory / SUMS} lists {', '.join(sorted(listed))}, not {', '.join(sorted(files))}")
    for name, content in files.items():
        actual = hashlib.sha256(content).hexdigest()
        if actual != listed[name]:
            # Either of the two files may be the changed one.
            raise SavedModelError(f"{directory / name} has the SHA-256 {actual}, but {SUMS} lists {listed[name]}")
    return files, digest


def read_sums(directory: Path) -> tuple[dict[str, str], str]:
    """The SHA-256 that a file shall have, by its name, and the model's digest. Raises `SavedModelError`."""
    try:
        sums = (directory / SUMS).read_bytes()
    except OSError as error:
        raise SavedModelError(f"{directory} is no saved model: {SUMS}: {error.strerror}") from None
    lines = sums.decode(errors="replace").splitlines()
    return dict(_parse_line(line, directory)[::-1] for line in lines), hashlib.sha256(sums).hexdigest()


def _parse_line(line: str, directory: Path) -> tuple[str, str]:
    matched = _LINE.fullmatch(line)
    if not matched:
        raise SavedModelError(f"{directory / SUMS} has a line that is no sum: {line[:100]!r}")
    return matched[1], matched[2]


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
