"""A copy of an installation that is being used is an installation itself, and the next one copies only what is new."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from store_steps import submit

from ktrdr.audit.checking.replay import replay
from ktrdr.store import Log, Reader, Store, open_store
from ktrdr.store.backup import BackupError, back_up


def events_of(home: Path) -> list[tuple[int, bytes]]:
    reader = open_store(home).open_reader()
    found = [(event.position, event.leaf_hash) for event in reader.all_events()]
    reader.close()
    return found


def test_a_copy_made_while_others_write_is_the_log_up_to_a_moment(store: Store, log: Log, tmp_path: Path) -> None:
    submit(log)
    stopping = threading.Event()

    def write() -> None:
        own = store.open_log()
        while not stopping.is_set():
            submit(own)
        own.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [back_up(store, tmp_path / "copy") for _ in range(3)]
    finally:
        stopping.set()
        writer.join()
    copied = events_of(tmp_path / "copy")
    assert len(copied) == made[-1].position >= made[0].position
    assert copied == events_of(store.home)[: len(copied)]
    assert replay(open_store(tmp_path / "copy")).is_equal


def test_only_new_files_are_copied_again(store: Store, log: Log, tmp_path: Path) -> None:
    submit(log)
    digest = store.prices.add(b"bars")
    (store.home / "audit").mkdir()
    key = store.home / "audit" / "signing.key"
    key.write_text("secret")
    key.chmod(0o600)
    first = back_up(store, tmp_path / "copy")
    assert (first.position, first.new_files, first.new_bytes) == (1, 2, len("bars") + len("secret"))
    assert (tmp_path / "copy" / "prices" / store.prices.path(digest).name).read_bytes() == b"bars"
    assert (tmp_path / "copy" / "audit" / "signing.key").stat().st_mode & 0o777 == 0o600
    submit(log)
    store.prices.add(b"more bars")
    second = back_up(store, tmp_path / "copy")
    assert (second.position, second.new_bytes) == (2, len("more bars") + len("secret"))


def test_what_a_job_is_writing_just_now_is_left_out(store: Store, log: Log, tmp_path: Path) -> None:
    submit(log)
    for unfinished in ("attempts/some-job/model.safetensors", "prices/.half"):
        (store.home / unfinished).parent.mkdir(parents=True, exist_ok=True)
        (store.home / unfinished).write_text("half")
    assert back_up(store, tmp_path / "copy").new_files == 0
    assert {file.name for file in (tmp_path / "copy").iterdir()} == {"ktrdr.db"}


def test_an_older_copy_that_was_used_meanwhile_is_replaced_whole(store: Store, log: Log, tmp_path: Path) -> None:
    submit(log)
    back_up(store, tmp_path / "copy")
    copy = open_store(tmp_path / "copy")
    other = copy.open_log()
    submit(other)  # the copy went a way of its own, and its WAL is still there
    submit(log)
    submit(log)
    assert back_up(store, tmp_path / "copy").position == 3
    other.close()
    copy.engine.dispose()
    assert events_of(tmp_path / "copy") == events_of(store.home)


@pytest.mark.parametrize("name", ["home", "home/below", "."])
def test_a_folder_in_the_installation_or_around_it_is_refused(
    store: Store, log: Log, tmp_path: Path, name: str
) -> None:
    assert store.home == tmp_path / "home"
    with pytest.raises(BackupError, match="lie in each other"):
        back_up(store, tmp_path / name)


def test_a_folder_with_something_else_is_refused_and_untouched(store: Store, log: Log, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    with pytest.raises(BackupError, match="no copy of an installation"):
        back_up(store, tmp_path / "photos")
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    other = open_store(tmp_path / "other")
    with pytest.raises(BackupError, match="a copy of another log"):
        back_up(store, other.home)


def test_an_interrupted_copy_leaves_the_older_one(
    store: Store, log: Log, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(log)
    back_up(store, tmp_path / "copy")
    submit(log)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        back_up(store, tmp_path / "copy")
    monkeypatch.undo()
    assert len(events_of(tmp_path / "copy")) == 1
    assert back_up(store, tmp_path / "copy").position == 2
