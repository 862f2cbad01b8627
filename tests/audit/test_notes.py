"""Signed notes, checkpoints and keys as text: published vectors, round trips, and everything that is refused."""

from __future__ import annotations

import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ktrdr.audit.signed.notes import (
    COSIGNATURE,
    ED25519,
    LogCheckpoint,
    NoteError,
    Signature,
    SignedNote,
    SigningKey,
    VerifierKey,
    notes_in,
)

# The example of Go's golang.org/x/mod/sumdb/note, of which C2SP signed-note is the specification.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    f"{GO_TEXT}\n\N{EM DASH} PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

# RFC 8032, 7.1: secret, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

KEY = SigningKey("ktrdr.local/test", ED25519, bytes(range(32)))
WITNESS = SigningKey("witness", COSIGNATURE, bytes(32))
NAMES = st.from_regex(re.compile(r"[^\s+]{1,20}"), fullmatch=True).filter(lambda name: name.isprintable())
SIGNERS = st.builds(SigningKey, NAMES, st.sampled_from([ED25519, COSIGNATURE]), st.binary(min_size=32, max_size=32))
CHECKPOINTS = st.builds(LogCheckpoint, NAMES, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))


def test_the_published_note_is_verified_by_the_published_key() -> None:
    note, key = SignedNote.parse(GO_NOTE), VerifierKey.parse(GO_KEY)
    assert note.text == GO_TEXT
    assert note.signers([key]) == [key]


def test_the_published_secret_makes_the_published_note() -> None:
    key = SigningKey.parse(GO_SECRET)
    assert str(key.verifier) == GO_KEY
    assert key.to_text() == GO_SECRET
    assert str(SignedNote(GO_TEXT, (key.sign(GO_TEXT),))) == GO_NOTE


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    key = SigningKey("key", ED25519, bytes.fromhex(secret))
    assert key.verifier.public.hex() == public
    assert key.sign_bytes(bytes.fromhex(message)).hex() == signature


def test_a_cosignature_is_over_its_time_and_the_text_as_the_specification_says() -> None:
    signature = WITNESS.sign("text\n", at=1_790_000_000)
    assert signature.data[:8] == (1_790_000_000).to_bytes(8, "big")
    public = Ed25519PublicKey.from_public_bytes(WITNESS.verifier.public)
    public.verify(signature.data[8:], b"cosignature/v1\ntime 1790000000\ntext\n")
    with pytest.raises(InvalidSignature):
        public.verify(signature.data[8:], b"text\n")
    later = (1_790_000_001).to_bytes(8, "big") + signature.data[8:]
    assert WITNESS.verifier.has_signed("text\n", signature.data)
    assert not WITNESS.verifier.has_signed("text\n", later)


@given(SIGNERS)
def test_keys_survive_their_text(key: SigningKey) -> None:
    assert SigningKey.parse(key.to_text()) == key
    assert VerifierKey.parse(str(key.verifier)) == key.verifier


@given(CHECKPOINTS, st.lists(SIGNERS, min_size=1, max_size=4, unique=True))
def test_signed_checkpoints_survive_their_text(stated: LogCheckpoint, keys: list[SigningKey]) -> None:
    note = SignedNote(stated.text, tuple(key.sign(stated.text, at=7) for key in keys))
    read = SignedNote.parse(str(note))
    assert read == note
    assert LogCheckpoint.parse(read.text) == stated
    assert read.signers([key.verifier for key in keys]) == [key.verifier for key in keys]


@given(CHECKPOINTS, st.data())
def test_no_changed_text_keeps_its_signature(stated: LogCheckpoint, data: st.DataObject) -> None:
    note = SignedNote(stated.text, (KEY.sign(stated.text),))
    at = data.draw(st.integers(0, len(note.text) - 2))
    other = data.draw(st.characters(exclude_characters=note.text[at], exclude_categories=["Cs"]))
    changed = SignedNote(note.text[:at] + other + note.text[at + 1 :], note.signatures)
    with pytest.raises(NoteError, match="is wrong"):
        changed.signers([KEY.verifier])


@given(st.text(max_size=200))
def test_no_text_breaks_the_readers(text: str) -> None:
    for parse in (SignedNote.parse, LogCheckpoint.parse, VerifierKey.parse, SigningKey.parse, Signature.parse):
        try:
            parse(text)
        except NoteError:
            continue
    assert isinstance(notes_in(text), list)


def test_a_key_that_was_not_asked_for_is_passed_over() -> None:
    note = SignedNote("text\n", (KEY.sign("text\n"), WITNESS.sign("text\n", at=1)))
    assert note.signers([WITNESS.verifier]) == [WITNESS.verifier]
    assert note.signers([SigningKey(KEY.name, ED25519, b"x" * 32).verifier]) == []


def test_the_secret_is_never_shown() -> None:
    assert repr(KEY) == "SigningKey('ktrdr.local/test')"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not an Ed25519 key"),
        ("name", "is not an Ed25519 key"),
        (GO_KEY.replace("PeterNeumann", "Peter Neumann"), "is not an Ed25519 key"),
        (GO_KEY.replace("PeterNeumann", "PaulNeumann"), "is damaged: its id is"),
        (GO_KEY[:-4], "is not an Ed25519 key"),
        (GO_KEY.replace("+ARpc", "+AhpC"), "is not an Ed25519 key"),
        (GO_KEY.replace("c74f20a3", "c74f20a4"), "is damaged: its id is c74f20a3"),
        (GO_KEY[:-1] + "\N{SNOWMAN}", "is not base64"),
    ],
)
def test_what_is_not_a_key_is_refused(text: str, says: str) -> None:
    with pytest.raises(NoteError, match=says):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GO_KEY, "is not a signing key"),
        (GO_SECRET.replace("c74f20a3", "c74f20a4"), "its id does not fit"),
        (GO_SECRET[:-4], "is not a signing key"),
    ],
)
def test_what_is_not_a_signing_key_is_refused(text: str, says: str) -> None:
    with pytest.raises(NoteError, match=says):
        SigningKey.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("log\n5\n", "needs the lines origin, size and root"),
        ("\n5\nAAAA\n", "needs the lines origin, size and root"),
        ("log\n05\nAAAA\n", "needs the lines origin, size and root"),
        ("log\n-5\nAAAA\n", "needs the lines origin, size and root"),
        ("log\n5\nAAAA\nmore", "needs the lines origin, size and root"),
        ("log\n5\nAAAA\n", "does not have 32 bytes"),
        ("log\n5\n!\n", "is not base64"),
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str, says: str) -> None:
    with pytest.raises(NoteError, match=says):
        LogCheckpoint.parse(text)


def test_the_extension_lines_of_a_checkpoint_are_passed_over() -> None:
    stated = LogCheckpoint("log", 5, bytes(32))
    assert LogCheckpoint.parse(stated.text + "more\nand more\n") == stated


@pytest.mark.parametrize("damage", [1, 10, 90, 120])
def test_half_a_note_in_a_file_of_them_is_passed_over(damage: int) -> None:
    notes = [
        SignedNote(text, (KEY.sign(text), WITNESS.sign(text, at=1)))
        for text in (LogCheckpoint("log", size, bytes(32)).text for size in (1, 2, 3))
    ]
    first, second, third = map(str, notes)
    assert notes_in(f"{first}\n{second}\n{third}\n") == notes
    assert notes_in(first) == [notes[0]]
    found = notes_in(f"{first}\n{second[:-damage]}\n\n{third}\n")
    assert found[0] == notes[0]
    assert found[-1] == notes[2]
    # What is left of the second is gone, or lacks signatures; it is never something else.
    assert [note.text for note in found[1:-1]] in ([], [notes[1].text])
    assert notes_in("a letter\n\nof two parts\n") == []
