"""The cache of a host worker: what it gives is right, and what is in use stays."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BufferedRandom
from pathlib import Path

import pytest

from host_worker.cache import Cache, Fetch
from host_worker.connection import GivenUpError, RefusedError


class Source:
    """Where the cache fetches from: gives some bytes and counts how often it was asked and for how many."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.digest = sha256(data).hexdigest()
        self.fetched: list[int] = []

    def fetch(self, file: BufferedRandom) -> None:
        rest = self.data[file.seek(0, os.SEEK_END) :]
        self.fetched.append(len(rest))
        file.write(rest)
        file.flush()


def never() -> bool:
    return False


def link(cache: Cache, source: Source, into: Path, fetch: Fetch | None = None) -> bytes:
    cache.link(f"{source.digest}.npy", source.digest, into, fetch or source.fetch, never)
    return (into / f"{source.digest}.npy").read_bytes()


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    cache, source = Cache(tmp_path / "files", 1000), Source(b"prices")
    assert link(cache, source, tmp_path / "a") == link(cache, source, tmp_path / "b") == b"prices"
    assert source.fetched == [6]


def test_a_file_that_was_damaged_is_fetched_again(tmp_path: Path) -> None:
    cache, source = Cache(tmp_path / "files", 1000), Source(b"prices")
    link(cache, source, tmp_path / "a")
    (tmp_path / "files" / f"{source.digest}.npy").write_bytes(b"prince")
    assert link(cache, source, tmp_path / "b") == b"prices"
    assert source.fetched == [6, 6]


def test_a_download_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    cache, source = Cache(tmp_path / "files", 1000), Source(b"prices")

    def break_off(file: BufferedRandom) -> None:
        file.write(b"pri")
        raise GivenUpError

    with pytest.raises(GivenUpError):
        link(cache, source, tmp_path / "a", break_off)
    assert link(Cache(tmp_path / "files", 1000), source, tmp_path / "a") == b"prices"
    assert source.fetched == [3]


def test_a_download_that_was_damaged_is_begun_again_once(tmp_path: Path) -> None:
    cache, source = Cache(tmp_path / "files", 1000), Source(b"prices")
    (tmp_path / "files" / f"{source.digest}.npy.part").write_bytes(b"wro")
    assert link(cache, source, tmp_path / "a") == b"prices"
    assert source.fetched == [3, 6]


def test_what_is_not_what_was_named_is_refused(tmp_path: Path) -> None:
    cache, source = Cache(tmp_path / "files", 1000), Source(b"prices")
    with pytest.raises(RefusedError, match=f"sent as {source.digest} has the digest"):
        link(cache, source, tmp_path / "a", Source(b"others").fetch)
    assert not (tmp_path / "a" / f"{source.digest}.npy").exists()


def test_what_was_used_longest_ago_is_dropped_unless_it_is_in_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "files", 20)
    in_use, old, newer, newest = (Source(bytes([number] * 8)) for number in range(4))
    for age, source in enumerate([in_use, old, newer]):
        link(cache, source, tmp_path / source.digest)
        os.utime(tmp_path / "files" / f"{source.digest}.npy", ns=(age, age))
    for source in (old, newer):
        (tmp_path / source.digest / f"{source.digest}.npy").unlink()
    link(cache, newest, tmp_path / "d")
    assert {path.stem for path in (tmp_path / "files").iterdir()} == {in_use.digest, newest.digest}


def test_several_who_want_the_same_file_fetch_it_once(tmp_path: Path) -> None:
    source = Source(os.urandom(1_000_000))

    def want(number: int) -> bytes:
        return link(Cache(tmp_path / "files", 10_000_000), source, tmp_path / str(number))

    with ThreadPoolExecutor(8) as several:
        assert set(several.map(want, range(8))) == {source.data}
    assert source.fetched == [1_000_000]
