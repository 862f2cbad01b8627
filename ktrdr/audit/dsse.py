"""Signed payloads of any type: DSSE envelopes (https://github.com/secure-systems-lab/dsse, v1.0.2).

Imports this package's notes. Pure. The id of a key is its text (`VerifierKey`), so that an envelope says which key it
wants; whether that one is to be trusted it cannot say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ktrdr.audit.signed.notes import ED25519, SigningKey, VerifierKey, from_base64, to_base64
from ktrdr.jobs.canonical import dumps


class EnvelopeError(ValueError):
    """A text is no DSSE envelope of a JSON text, or a signature in it is wrong."""


@dataclass(frozen=True, slots=True)
class Envelope:
    payload_type: str
    #: A JSON text, as it was signed.
    payload: str
    #: Id of the key → its signature.
    signatures: tuple[tuple[str, bytes], ...]

    def __str__(self) -> str:
        return dumps(
            {
                "payload": to_base64(self.payload.encode()),
                "payloadType": self.payload_type,
                "signatures": [{"keyid": key, "sig": to_base64(signature)} for key, signature in self.signatures],
            }
        )

    @classmethod
    def parse(cls, text: str | bytes) -> Envelope:
        """Raises EnvelopeError."""
        try:
            given = json.loads(text)
            signatures = tuple((_text(one["keyid"]), from_base64(_text(one["sig"]))) for one in given["signatures"])
            return cls(_text(given["payloadType"]), from_base64(_text(given["payload"])).decode(), signatures)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EnvelopeError(f"it is not a DSSE envelope: {error}") from None

    def signers(self, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
        """Which of these keys have signed it. Raises EnvelopeError if a signature under one of them is wrong."""
        known = {str(key): key for key in keys if key.kind == ED25519}
        signers = []
        for key_id, signature in self.signatures:
            key = known.get(key_id)
            if key is None:
                continue
            if not key.has_signed(pae(self.payload_type, self.payload), signature):
                raise EnvelopeError(f"the signature of {key.name} is wrong: what it signs was changed")
            signers.append(key)
        return signers


def sign(payload_type: str, payload: str, key: SigningKey) -> Envelope:
    signature = key.sign_bytes(pae(payload_type, payload).encode())
    return Envelope(payload_type, payload, ((str(key.verifier), signature),))


def pae(payload_type: str, payload: str) -> str:
    """What is signed (DSSE's pre-authentication encoding): lengths count bytes."""
    return f"DSSEv1 {len(payload_type.encode())} {payload_type} {len(payload.encode())} {payload}"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:80]!r} is not a text")
    return value
