"""Signed notes, the checkpoints of a log in them, and cosignatures of witnesses, as text (C2SP signed-note,
tlog-checkpoint and tlog-cosignature, https://c2sp.org).

Imports cryptography. Pure: keys come from the caller, and so does the time.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: Kinds of keys: one that signs the note's text, and a witness's, which signs a time with it.
ED25519, COSIGNATURE = 0x01, 0x04
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]*")
_DASH = "\N{EM DASH} "
_NOTE = re.compile(rf"((?:[^\n]+\n)+\n(?:{_DASH}[^\n]+\n)+)\n")
_SIGNATURE_BYTES = 64


class NoteError(ValueError):
    """A text is no signed note, checkpoint or key."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under the name that it signs by; as text `name+id+key`."""

    name: str
    #: ED25519 or COSIGNATURE.
    kind: int
    #: 32 bytes.
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Raises NoteError for what is not a key of these kinds."""
        name, _, rest = text.strip().partition("+")
        stated_id, _, encoded = rest.partition("+")
        data = from_base64(encoded)
        if not _NAME.fullmatch(name) or len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise NoteError(f"{text[:80]!r} is not an Ed25519 key; one looks like name+1a2b3c4d+AXv3…")
        key = cls(name, data[0], data[1:])
        if key.key_id.hex() != stated_id:
            raise NoteError(f"the key {text[:80]!r} is damaged: its id is {key.key_id.hex()}, not {stated_id[:20]!r}")
        return key

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature, as a note carries it behind the key's id, is this key's over the text."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            message = _timed(text, int.from_bytes(signature[:8], "big"))
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; as text `PRIVATE+KEY+name+id+key`."""

    name: str
    kind: int
    #: 32 bytes (RFC 8032's private key).
    seed: bytes

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, self.kind, self._private.public_key().public_bytes_raw())

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"  # never the secret

    def to_text(self) -> str:
        """The secret, for its file."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{to_base64(bytes([self.kind]) + self.seed)}"

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Raises NoteError."""
        words = text.strip().split("+", 4)
        data = from_base64(words[-1])
        if words[:2] != ["PRIVATE", "KEY"] or len(words) != 5 or len(data) != 33:
            raise NoteError("the text is not a signing key")
        key = cls(words[2], data[0], data[1:])
        if key.verifier.key_id.hex() != words[3]:
            raise NoteError(f"the signing key of {key.name} is damaged: its id does not fit")
        return key

    def sign_bytes(self, message: bytes) -> bytes:
        """The bare signature, 64 bytes, for forms other than notes."""
        return self._private.sign(message)

    def sign(self, text: str, *, at: int = 0) -> Signature:
        """A signature over a note's text. `at`: seconds since 1970 that a witness's key states."""
        if self.kind == COSIGNATURE:
            data = at.to_bytes(8, "big") + self.sign_bytes(_timed(text, at))
        else:
            data = self.sign_bytes(text.encode())
        return Signature(self.name, self.verifier.key_id, data)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    data: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.data)}"

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Raises NoteError."""
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        data = from_base64(encoded)
        if not line.startswith(_DASH) or not _NAME.fullmatch(name) or len(data) < 5:
            raise NoteError(f"{line[:80]!r} is not a signature line")
        return cls(name, data[:4], data[4:])


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text that ends with a newline, and signatures over it."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(f"{signature}\n" for signature in self.signatures)

    @classmethod
    def parse(cls, note: str) -> SignedNote:
        """Raises NoteError."""
        text, separator, lines = note.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise NoteError("the text is not a signed note: no empty line with signatures after it")
        return cls(f"{text}\n", tuple(map(Signature.parse, lines.splitlines())))

    def with_signatures(self, more: Iterable[Signature]) -> SignedNote:
        return SignedNote(self.text, (*self.signatures, *more))

    def signers(self, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
        """Which of these keys have signed it. Raises NoteError if a signature under one of them is wrong."""
        known = {(key.name, key.key_id): key for key in keys}
        signers = []
        for signature in self.signatures:
            key = known.get((signature.name, signature.key_id))
            if key is None:
                continue
            if not key.has_signed(self.text, signature.data):
                raise NoteError(
                    f"the signature of {key.name} is wrong: the note was changed, or someone else signed it"
                )
            if key not in signers:
                signers.append(key)
        return signers


@dataclass(frozen=True, slots=True)
class LogCheckpoint:
    """What a log states of itself: so many entries, and this root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text of the note."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> LogCheckpoint:
        """From the text of a note; extension lines are passed over. Raises NoteError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not lines[0] or not _SIZE.fullmatch(lines[1]):
            raise NoteError("the note is not a checkpoint: it needs the lines origin, size and root")
        root = from_base64(lines[2])
        if len(root) != 32:
            raise NoteError("the checkpoint's root does not have 32 bytes")
        return cls(lines[0], int(lines[1]), root)


def notes_in(text: str) -> list[SignedNote]:
    """The notes of a file to which one was appended after the other, each with an empty line behind it.

    A single note is such a file too. Half a note, as a crash leaves it, is passed over, and so is what is no note.
    """
    found = []
    for note in _NOTE.findall(text if text.endswith("\n\n") else f"{text}\n"):
        try:
            parsed = SignedNote.parse(note)
        except NoteError:
            continue
        if all(len(signature.data) >= _SIGNATURE_BYTES for signature in parsed.signatures):
            found.append(parsed)
    return found


def _timed(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def to_base64(data: bytes) -> str:
    """As notes and proofs write bytes."""
    return b64encode(data).decode()


def from_base64(encoded: str) -> bytes:
    """The bytes that `to_base64` wrote; no other text of the same bytes is accepted. Raises NoteError."""
    try:
        data = b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        data = None
    if data is None or to_base64(data) != encoded:
        raise NoteError(f"{encoded[:80]!r} is not base64")
    return data
