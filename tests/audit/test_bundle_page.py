"""The page of a bundle, in a real browser and from the disk: it tells the story, and verifies it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, EPOCHS, write_log
from browser import CHROMIUM, Browser, opened_browser
from job_in_a_bundle import prune_without_archive
from jobs.job_builders import SUBMITTED
from running_service import wait_until

from ktrdr.audit.bundle import bundle_files
from ktrdr.audit.bundle.page import render
from ktrdr.audit.signed.notes import COSIGNATURE, ED25519, SigningKey
from ktrdr.audit.signed.signing import add_signatures, published_keys, rotate_key, sign_checkpoint
from ktrdr.jobs import decide
from ktrdr.jobs.identity import make_job_id
from ktrdr.store import Log, Store

Files = dict[str, bytes]

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
HOSTILE_JOB = make_job_id(1_790_000_000_009, bytes(10))
WITNESS = SigningKey("witness.example", COSIGNATURE, bytes(range(32)))

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_log(tmp_path_factory.mktemp("page") / "home")


@pytest.fixture(scope="module")
def log(store: Store) -> Iterator[Log]:
    log = store.open_log()
    yield log
    log.close()


@pytest.fixture(scope="module")
def files(store: Store, log: Log) -> Files:
    note = sign_checkpoint(store, log)
    add_signatures(log, note, [WITNESS.sign(note.text, at=1_790_000_000)])
    return bundle_files(store, log, COMPLETED_JOB)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with opened_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def show(browser: Browser, page: bytes, folder: Path) -> str:
    """Opens a page; gives its verdict."""
    path = folder / "index.html"
    path.write_bytes(page)
    browser.open(path)
    return browser.text("#verdict")


def check_with(browser: Browser, *keys: str) -> str:
    """Pastes keys and has them checked; gives the verdict."""
    browser.run(f"document.getElementById('keys').value = {chr(10).join(keys)!r}")
    browser.run("document.querySelector('#trust button').click()")
    return browser.text("#verdict")


# --- What the file is.


def test_the_page_needs_nothing_from_elsewhere(files: Files) -> None:
    page = files["index.html"].decode()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|fetch\(|XMLHttp""", page.partition('id="data"')[0])


def test_what_is_embedded_cannot_leave_its_element(files: Files) -> None:
    hostile = {**files, "events.jsonl": HOSTILE.encode() + b"<!--<script>"}
    page = render(hostile).decode()
    assert HOSTILE not in page
    assert page.count("</script>") == files["index.html"].decode().count("</script>") == 2


# --- What a browser makes of it.


@needs_browser
def test_it_says_that_it_is_verified_if_the_key_is_trusted(
    browser: Browser, files: Files, store: Store, tmp_path: Path
) -> None:
    assert show(browser, files["index.html"], tmp_path).startswith("Verified, if you trust its key.")
    key = str(published_keys(store)[0])
    assert key in browser.text("#checks")
    assert check_with(browser, key).startswith("Verified. These events are in the log whose key you trust")
    assert check_with(browser, key, str(WITNESS.verifier)).startswith("Verified.")
    assert browser.run("document.querySelectorAll('#checks .wrong').length") == 0
    assert browser.complaints == []


@needs_browser
def test_a_key_that_did_not_sign_it_is_told(browser: Browser, files: Files, store: Store, tmp_path: Path) -> None:
    show(browser, files["index.html"], tmp_path)
    stranger = SigningKey(published_keys(store)[0].name, ED25519, bytes(32)).verifier
    other_witness = SigningKey("witness.example", COSIGNATURE, bytes(32)).verifier
    assert check_with(browser, str(stranger)).startswith("Not verified.")
    assert f"no key that {stranger} leads to has signed" in browser.text("#checks")
    assert check_with(browser, str(published_keys(store)[0]), str(other_witness)).startswith("Not verified.")
    assert check_with(browser, "nonsense").startswith("Not verified.")
    assert check_with(browser).startswith("Verified, if you trust its key.")


@needs_browser
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("events.jsonl", b'"train_loss":0.9', b'"train_loss":0.1'), "the events do not lead to the root"),
        (("events.jsonl", b'"version":4', b'"version":5'), "line 4 is not the next event of this job"),
        (("events.jsonl", b'"position":3', b'"position":30'), "the positions do not rise"),
        (("events.jsonl", b'"JobSubmitted"', b'"JobClaimed"'), "the submission is missing"),
        (("checkpoint.txt", b"\n11\n", b"\n12\n"), "the proof is of another checkpoint"),
        (("proof.json", b'"hashes":["', b'"hashes":["AAAA","'), "the events do not lead to the root"),
        (("keys.txt", b"+A", b"+B"), "is not an Ed25519 key"),
        (("model/SHA256SUMS", b"model.json", b"other.json"), "SHA256SUMS is not that of this job's model"),
    ],
)
def test_what_was_changed_is_not_verified(
    browser: Browser, files: Files, tmp_path: Path, change: tuple[str, bytes, bytes], said: str
) -> None:
    name, old, new = change
    changed = {**files, name: files[name].replace(old, new, 1)}
    assert changed != files
    assert show(browser, render(changed), tmp_path).startswith("Not verified.")
    assert said in browser.text("#checks")


@needs_browser
def test_a_signature_that_was_changed_is_not_verified(browser: Browser, files: Files, tmp_path: Path) -> None:
    note = bytearray(files["checkpoint.txt"])
    place = note.index(b"\xe2\x80\x94") + 80
    note[place : place + 1] = b"A" if note[place : place + 1] != b"A" else b"B"
    assert show(browser, render({**files, "checkpoint.txt": bytes(note)}), tmp_path).startswith("Not verified.")


@needs_browser
def test_an_event_that_is_left_out_is_noticed(browser: Browser, files: Files, tmp_path: Path) -> None:
    lines = files["events.jsonl"].splitlines(keepends=True)
    changed = {**files, "events.jsonl": b"".join(lines[:-1])}
    assert show(browser, render(changed), tmp_path).startswith("Not verified.")


@needs_browser
def test_it_tells_what_happened(browser: Browser, files: Files, tmp_path: Path) -> None:
    show(browser, files["index.html"], tmp_path)
    story = browser.text("#story")
    assert "client:anna submitted trend over AAPL, MSFT (1h)." in story
    assert "The local worker w1 began attempt 1." in story
    assert "Completed after 2 epochs. The model is that of epoch 1." in story
    assert "completed" in browser.text("#head")
    assert "train model" in browser.text("#times")
    assert browser.run("document.querySelectorAll('#curves svg').length") == 2
    assert "accuracy" in browser.text("#result")
    browser.run("document.getElementById('events').open = true")
    wait_until(lambda: browser.run("document.querySelectorAll('#events tr').length") == 7)


@needs_browser
def test_the_files_of_the_model_are_checked(browser: Browser, files: Files, tmp_path: Path) -> None:
    show(browser, files["index.html"], tmp_path)
    weights, model = tmp_path / "weights.safetensors", tmp_path / "model.json"
    weights.write_bytes(files["model/weights.safetensors"])
    model.write_bytes(b"another model")
    browser.choose("#chosen", [weights, model])
    wait_until(lambda: browser.run("document.querySelectorAll('#found li').length") == 2)
    assert browser.text("#found li:nth-child(1)").split() == ["✓", "right", "weights.safetensors"]
    assert browser.text("#found li:nth-child(2)").split() == ["✗", "wrong", "model.json"]
    browser.choose("#chosen", [weights])
    wait_until(lambda: "not given" in browser.text("#found"))
    assert "model.json" in browser.text("#found li:nth-child(2)")


@needs_browser
def test_texts_of_users_are_shown_and_not_run(browser: Browser, store: Store, log: Log, tmp_path: Path) -> None:
    submitted = replace(SUBMITTED, name=HOSTILE, symbols=(HOSTILE,), labels={"desk": HOSTILE})
    for decision in (
        lambda state: decide.submit(state, submitted),
        lambda state: decide.request_cancellation(state, by=HOSTILE, reason=HOSTILE),
    ):
        log.write(lambda transaction, decision=decision: transaction.change(HOSTILE_JOB, decision, actor=HOSTILE))  # type: ignore[misc]
    page = bundle_files(store, log, HOSTILE_JOB)["index.html"]
    assert show(browser, page, tmp_path).startswith("Verified, if you trust its key.")
    assert HOSTILE in browser.text("#story")
    assert browser.run("document.title").startswith(HOSTILE)
    assert browser.run("document.querySelectorAll('img, #head script, main script').length") == 0
    assert browser.complaints == []


@needs_browser
def test_a_job_without_a_model_is_told_and_verified_too(
    browser: Browser, store: Store, log: Log, tmp_path: Path
) -> None:
    page = bundle_files(store, log, CANCELLED_JOB)["index.html"]
    assert show(browser, page, tmp_path).startswith("Verified, if you trust its key.")
    assert "Cancelled: before it had started." in browser.text("#story")
    assert browser.run("document.getElementById('files').hidden")


@needs_browser
def test_after_pruning_and_with_another_key_it_is_verified_still(browser: Browser, tmp_path: Path) -> None:
    store = write_log(tmp_path / "home")
    log = store.open_log()
    old = published_keys(store)[0]
    prune_without_archive(store, EPOCHS)
    rotate_key(store, log)
    assert show(browser, bundle_files(store, log, COMPLETED_JOB)["index.html"], tmp_path).startswith("Verified, if")
    assert "the content of 1 was pruned" in browser.text("#checks")
    for key in (old, published_keys(store)[1]):
        assert check_with(browser, str(key)).startswith("Verified.")
    log.close()
