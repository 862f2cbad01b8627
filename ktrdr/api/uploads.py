"""The files of a model on their way from a host worker: staged per attempt, checked, then moved to their place.

Imports the store and the model's file format. A worker names files, never places.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from ktrdr.api.context import context_of, job_id_of
from ktrdr.api.requests import read_body
from ktrdr.files import checked_digest, sync_folder
from ktrdr.jobs import decide
from ktrdr.problems import Problem, invalid, not_found
from ktrdr.store import Store
from ktrdr.training.faults import Fault
from ktrdr.training.model_directory import SUMS, SavedModelError, read_directory

FILE_LIMIT = 256_000_000
FILES_LIMIT = 32
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


async def upload(request: Request) -> Response:
    """Stages one file of the attempt's model; the same file may be sent again."""
    context, job_id = context_of(request), job_id_of(request)
    epoch, name = int(request.path_params["lease_epoch"]), str(request.path_params["name"])
    if not _NAME.fullmatch(name):
        raise invalid([Fault(("name",), f"{name[:80]!r} is no name for a file", "letters, digits, dot, dash")])
    decide.require_lease(context.reader.job(job_id), epoch)
    body = await read_body(request, FILE_LIMIT)
    folder = staging_folder(context.store, job_id, epoch)
    await asyncio.to_thread(_stage, folder, name, body)
    return JSONResponse({"name": name, "bytes": len(body)}, 201)


async def prices(request: Request) -> Response:
    """Price data by its digest, for a worker's cache: the bytes never change."""
    try:
        path = context_of(request).store.prices.path(request.path_params["digest"])
    except ValueError as error:
        raise invalid([Fault(("digest",), str(error))]) from None
    if not path.exists():
        raise not_found(f"there is no price data with the digest {path.stem}")
    return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "immutable"})


def staging_folder(store: Store, job_id: str, lease_epoch: int) -> Path:
    """Where the model of one attempt comes together; on the file system of the models, so that it can be moved."""
    return store.home / "attempts" / f"{job_id}-{lease_epoch}" / "model"


def adopt_upload(store: Store, job_id: str, lease_epoch: int, model_digest: str) -> None:
    """Checks the staged files against the digest and moves them to their place, or raises a problem."""
    try:
        present = (store.models.path(checked_digest(model_digest))).exists()
    except ValueError as error:
        raise invalid([Fault(("data", "model_digest"), str(error))]) from None
    folder = staging_folder(store, job_id, lease_epoch)
    if present and not folder.exists():
        return  # the request before this one got as far as here
    names = frozenset(path.name for path in folder.iterdir()) - {SUMS} if folder.is_dir() else frozenset()
    try:
        _, found = read_directory(folder, names)
    except SavedModelError as error:
        raise Problem("damaged-model", 409, "The uploaded model is not whole", str(error), "upload it again") from None
    if found != model_digest:
        raise Problem("damaged-model", 409, "The uploaded model is not the announced one", f"its digest is {found}")
    store.models.adopt(folder, model_digest)


def _stage(folder: Path, name: str, body: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.iterdir())) >= FILES_LIMIT:
        raise invalid([Fault(("name",), f"a model has at most {FILES_LIMIT} files")])
    with (folder / name).open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
