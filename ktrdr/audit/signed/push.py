"""Keeping checkpoints where whoever rewrites the log cannot: in a file elsewhere, or at a URL.

Imports this package's notes and the client's HTTP. A copy is only ever added to. What is there already has to agree
with the log: if it does not, that is told, and nothing is written.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from ktrdr.audit.signed.asking import TIMEOUT_SECONDS, ask
from ktrdr.audit.signed.notes import LogCheckpoint, SignedNote, notes_in
from ktrdr.client.transport import open_http
from ktrdr.files import sync_folder

#: Notes have some hundred bytes, so that the newest one stands in the end of this length.
_TAIL_BYTES = 64 * 1024


class PushError(Exception):
    """A checkpoint was not kept elsewhere; the message says why."""


def file_of(target: str) -> Path | None:
    """The file that a target names by its path or as file://…; None for a URL of HTTP."""
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        return None
    return Path(unquote(parts.path) if parts.scheme == "file" else target).expanduser()


def newest_in(file: Path) -> SignedNote | None:
    """The newest checkpoint in a file of them. Raises OSError."""
    return _last(_tail(file)) if file.exists() else None


def push(note: SignedNote, target: str) -> None:
    """Adds a checkpoint to the copy elsewhere, unless it is there already. Raises PushError."""
    file = file_of(target)
    try:
        if file is None:
            _put(note, target)
        else:
            _append(note, file)
    except (OSError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise PushError(f"{target} did not take the checkpoint: {error or type(error).__name__}") from None


def _append(note: SignedNote, file: Path) -> None:
    """Adds the note and an empty line to the end: a file that its system lets only grow (chattr +a) will do."""
    is_new = not file.exists()
    with file.open("ab") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        tail = _tail(file)
        last = _last(tail)
        if last is not None and _holds(last, note, str(file)):
            return
        # After half a note, as a crash leaves it, the next one begins behind an empty line.
        separator = b"" if not tail or tail.endswith(b"\n\n") else b"\n\n"
        opened.write(separator + f"{note}\n".encode())
        opened.flush()
        os.fsync(opened.fileno())
    if is_new:
        sync_folder(file.parent)


def _holds(last: SignedNote, note: SignedNote, place: str) -> bool:
    """Whether the newest note of a copy is this one. Raises PushError if it cannot be followed by it."""
    there, ours = LogCheckpoint.parse(last.text), LogCheckpoint.parse(note.text)
    if there.origin != ours.origin:
        raise PushError(f"{place} holds checkpoints of another log, {there.origin}: name another place for this one")
    if there.size > ours.size or (there.size == ours.size and there.root != ours.root):
        raise PushError(
            f"{place} holds a checkpoint of {there.size} events that is not of this log as it is now, of {ours.size}: "
            "the log was changed or cut off; find out with: ktrdr audit verify"
        )
    return last == note


def _put(note: SignedNote, url: str) -> None:
    """PUT to `url/SIZE`, and only if nothing is there."""
    size = LogCheckpoint.parse(note.text).size
    with open_http(f"{url.rstrip('/')}/", None, timeout=TIMEOUT_SECONDS) as http:
        headers = {"If-None-Match": "*", "Content-Type": "text/plain; charset=utf-8"}
        answer = ask(http, "PUT", str(size), content=str(note).encode(), headers=headers)
        if answer.status_code == httpx2.codes.PRECONDITION_FAILED:
            kept = ask(http, "GET", str(size)).raise_for_status()
            found = notes_in(kept.text)
            if not found:
                raise PushError(f"{kept.url} holds something that is no checkpoint")
            _holds(found[-1], note, str(kept.url))
        elif answer.is_error:
            raise PushError(f"{answer.url} answered {answer.status_code} {answer.reason_phrase}")


def _tail(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return opened.read()


def _last(content: bytes) -> SignedNote | None:
    return next(reversed(notes_in(content.decode(errors="replace"))), None)
