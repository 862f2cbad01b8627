"""What the tests of bundles share: checking one, mending its manifest as a forger would, and pruning an event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from unittest.mock import patch

import pysqlite3

from ktrdr.audit.bundle import verifier
from ktrdr.audit.bundle.verifier import read_key, verify
from ktrdr.store import Store

#: The same answer to the same question, asked thousands of times.
_has_signed = cache(verifier.has_signed)


def checked(files: Mapping[str, bytes], *, key: str | None = None, witnesses: Iterable[str] = ()) -> list[str]:
    """What `verify.py` finds right in a bundle. Raises whatever it raises."""
    with patch.object(verifier, "has_signed", _has_signed):
        return list(verify(dict(files), read_key(key) if key else None, [read_key(one) for one in witnesses]))


def with_manifest(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with the digests of a manifest that fits them, as whoever changes them would see to."""
    manifest = json.loads(files["bundle.json"])
    digests = {name: sha256(content).hexdigest() for name, content in files.items() if name != "bundle.json"}
    return {**files, "bundle.json": json.dumps({**manifest, "files": digests}).encode()}


def prune_without_archive(store: Store, position: int) -> None:
    """Empties the data of an event, as retention does, of a job whose archive is gone."""
    connection = pysqlite3.connect(str(store.home / "ktrdr.db"), isolation_level=None)
    connection.execute("UPDATE events SET data = '' WHERE position = ?", (position,))
    connection.close()
