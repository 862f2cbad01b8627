"""Bytes between the service and a host worker: price data and checkpoints to it, files of an attempt from it.

Imports starlette and the staging area. Both directions go on where they were cut: downloads answer `Range`, and an
upload is told how much of it is here, whatever happened to connections and processes meanwhile.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api.access.lease_holders import require_holder
from ktrdr.api.context import Context, context_of, job_id_of
from ktrdr.api.file_answers import file_answer
from ktrdr.api.staging import finish, open_part, received, staging_folder
from ktrdr.files import checked_digest
from ktrdr.jobs.events import JobId
from ktrdr.jobs.state import JobState
from ktrdr.problems import Problem, invalid, not_found, too_large
from ktrdr.training.faults import Fault

#: The most that one request appends: between two of them the lease is looked at again.
CHUNK_BYTES = 8 * 1024 * 1024
#: As much is kept in memory before it goes to the disk.
_PIECE_BYTES = 1024 * 1024


async def upload_state(request: Request) -> Response:
    """How much of a file is here: an upload that was cut goes on from this offset."""
    context, job_id = context_of(request), job_id_of(request)
    digest = _digest_of(request)
    _leased(context, job_id, request)
    return _state(*received(staging_folder(context.store, job_id), digest))


async def append(request: Request) -> Response:
    """Adds the body to a file at the offset that the request names; checks the file once all of it is here."""
    context, job_id = context_of(request), job_id_of(request)
    digest = _digest_of(request)
    offset, length = _number(request, "upload-offset"), _number(request, "upload-length")
    _leased(context, job_id, request)
    folder = staging_folder(context.store, job_id)
    here, is_whole = received(folder, digest)
    if is_whole:
        return _state(here, True)
    if offset > here:
        raise Problem(
            "wrong-offset", 409, "Bytes are missing in between", f"{here} bytes are here, so {offset} cannot follow"
        )
    with open_part(folder, digest, length) as file:
        end = await _receive(request, file, offset, length)
    if end == length:
        await asyncio.to_thread(finish, folder, digest)
    return _state(end, end == length)


async def prices(request: Request) -> Response:
    """Price data by its digest, for a worker's cache: the bytes never change."""
    path = context_of(request).store.prices.path(_digest_of(request))
    return _file(request, path, f"there is no price data with the digest {path.stem}")


async def checkpoint(request: Request) -> Response:
    """A checkpoint that the attempt under this lease may go on from."""
    context, job_id = context_of(request), job_id_of(request)
    digest = _digest_of(request)
    state, submitted = _leased(context, job_id, request), context.reader.submission(job_id)
    path = context.store.checkpoints.path(digest)
    usable = (*state.checkpoints, submitted.starts_from, submitted.forked_from)
    if digest not in [one["digest"] for one in usable if one]:
        raise not_found(f"job {job_id} has no checkpoint {digest}")
    return _file(request, path, f"the checkpoint {digest} is not here any more")


async def _receive(request: Request, file: BinaryIO, offset: int, length: int) -> int:
    """Writes the body to a file at an offset; gives where it ended. What had come is kept if the client goes away."""
    end = min(length, offset + CHUNK_BYTES)
    pieces = bytearray()

    def write() -> None:
        file.seek(offset)
        file.write(pieces)
        file.flush()

    try:
        async for part in request.stream():
            if offset + len(pieces) + len(part) > end:
                raise too_large(CHUNK_BYTES)
            pieces += part
            if len(pieces) >= _PIECE_BYTES:
                await asyncio.to_thread(write)
                offset += len(pieces)
                pieces.clear()
    finally:
        await asyncio.to_thread(write)
    return offset + len(pieces)


def _leased(context: Context, job_id: JobId, request: Request) -> JobState:
    """The job, which must run under the lease that the path names."""
    state = context.reader.job(job_id)
    require_holder(request, state, int(request.path_params["lease_epoch"]))
    return state


def _state(offset: int, is_whole: bool) -> Response:
    return JSONResponse({"offset": offset, "complete": is_whole})


def _file(request: Request, path: Path, if_missing: str) -> Response:
    if not path.exists():
        raise not_found(if_missing)
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return file_answer(request, path, etag=f'"{path.stem}"', media_type="application/octet-stream", headers=kept)


def _digest_of(request: Request) -> str:
    try:
        return checked_digest(str(request.path_params["digest"]))
    except ValueError as error:
        raise invalid([Fault(("digest",), str(error))]) from None


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise invalid([Fault((header,), f"{text[:80]!r} is no number of bytes", "0 or more")])
    return int(text)
