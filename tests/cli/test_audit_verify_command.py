"""`ktrdr audit verify` and `ktrdr audit replay` on an installation of its own, without any service."""

from __future__ import annotations

from pathlib import Path

import pytest
from audited_log import COMPLETED_JOB, write_log
from commands import ktrdr

from ktrdr.audit.checking.replay import replay
from ktrdr.audit.signed.signing import sign_checkpoint, signing_key
from ktrdr.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("KTRDR_HOME", str(tmp_path / "home"))
    return write_log(tmp_path / "home")


@pytest.fixture
def kept(store: Store, tmp_path: Path) -> Path:
    """A file elsewhere with two checkpoints."""
    log = store.open_log()
    note = str(sign_checkpoint(store, log))
    log.close()
    file = tmp_path / "kept.txt"
    file.write_text(f"{note}\n{note}\n")
    return file


def damage(store: Store) -> None:
    with store.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE jobs SET priority = 9 WHERE submitted_position = 1")


def test_a_log_is_verified_against_what_was_kept(capsys: pytest.CaptureFixture[str], store: Store, kept: Path) -> None:
    ran = ktrdr(capsys, "audit", "verify", "--checkpoint", kept, "--key", signing_key(store).verifier)
    assert (ran.code, "against 3 signed checkpoints verified" in ran.out) == (0, True)


def test_another_log_is_not_what_was_kept(
    capsys: pytest.CaptureFixture[str], store: Store, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path / "other")
    monkeypatch.setenv("KTRDR_HOME", str(tmp_path / "other"))
    ran = ktrdr(capsys, "audit", "verify", "--checkpoint", kept)
    assert ran.code == 1
    assert ran.out.startswith(f"wrong: checkpoint 1 in {kept} is of the log ")


@pytest.mark.parametrize(
    ("text", "error"),
    [("nonsense", "holds no signed checkpoint"), (None, "cannot be read: "), (b"\xff", "cannot be read")],
)
def test_a_file_without_a_checkpoint_is_refused(
    capsys: pytest.CaptureFixture[str], store: Store, tmp_path: Path, text: str | bytes | None, error: str
) -> None:
    file = tmp_path / "file"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    ran = ktrdr(capsys, "audit", "verify", "--checkpoint", file)
    assert ran.code == 1
    assert error in ran.err


def test_a_key_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    ran = ktrdr(capsys, "audit", "verify", "--key", "nonsense")
    assert ran.code == 1
    assert "is not an Ed25519 key" in ran.err


def test_the_replay_says_the_digest(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    digest = replay(store).state_digest
    ran = ktrdr(capsys, "audit", "replay")
    assert ran.code == 0
    assert ran.out == f"11 events of 3 jobs folded from zero: no difference\nstate digest  {digest}\n"


def test_a_difference_is_told_and_gives_an_exit_code(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    damage(store)
    ran = ktrdr(capsys, "audit", "replay")
    assert ran.code == 1
    assert ran.out.splitlines()[0] == (
        f"differs: jobs of job {COMPLETED_JOB}: found {{'priority': 9}}, the log says {{'priority': 0}}"
    )
    told = ktrdr(capsys, "audit", "replay", "--json").json
    assert (told["equal"], told["events"], len(told["differences"])) == (False, 11, 1)
