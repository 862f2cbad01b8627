"""Files on their way from a host worker: staged per job, named by the SHA-256 of their bytes, put to use once whole.

Imports the store and the model's file format. A worker names contents, never places; nothing is believed that was not
hashed here. What was staged for a job that does not run any more is removed by `sweep`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from ktrdr.files import checked_digest, sync_folder
from ktrdr.jobs.events import CheckpointSaved
from ktrdr.problems import Problem, invalid
from ktrdr.store import Store
from ktrdr.training.faults import Fault
from ktrdr.training.model_directory import SUMS, SavedModelError, read_directory

#: Of one file, of all files of a job together, and how many these may be.
FILE_LIMIT = 4_000_000_000
JOB_LIMIT = 16_000_000_000
FILES_LIMIT = 100
_PART = ".part"


def staging_folder(store: Store, job_id: str) -> Path:
    """Where a job's files come together; on the file system of models and checkpoints, so that they can be moved."""
    return store.home / "uploads" / job_id


def received(folder: Path, digest: str) -> tuple[int, bool]:
    """How many bytes of a file are here, and whether that is all of it."""
    whole, part = folder / digest, folder / f"{digest}{_PART}"
    if whole.exists():
        return whole.stat().st_size, True
    return part.stat().st_size if part.exists() else 0, False


def open_part(folder: Path, digest: str, length: int) -> BinaryIO:
    """The file to write so many bytes to, in whatever order. Raises a problem beyond the limits."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{digest}{_PART}"
    others = [file.stat().st_size for file in folder.iterdir() if file.is_file() and file != part]
    if length > FILE_LIMIT or sum(others) + length > JOB_LIMIT or len(others) >= FILES_LIMIT:
        raise Problem(
            "too-large",
            413,
            "The request is too large",
            f"a job may upload {FILES_LIMIT} files of {FILE_LIMIT:,} bytes each, {JOB_LIMIT:,} bytes together",
        )
    part.touch()
    return part.open("r+b")


def finish(folder: Path, digest: str) -> None:
    """Takes a file of which every byte is here, if it is the announced one; otherwise drops it and raises a problem."""
    part = folder / f"{digest}{_PART}"
    try:
        with part.open("rb") as file:
            os.fsync(file.fileno())
            found = file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return  # the same request, sent twice, got here first
    if found != digest:
        part.unlink(missing_ok=True)
        raise Problem(
            "damaged-upload",
            409,
            "The upload is not the announced file",
            f"the bytes received as {digest} have the SHA-256 {found}; they were dropped",
            "upload it again from the start",
        )
    part.replace(folder / digest)
    sync_folder(folder)


def adopt_checkpoint(store: Store, job_id: str, saved: CheckpointSaved) -> None:
    """Moves an uploaded checkpoint to its place. Raises a problem if it was not uploaded, or is another."""
    _check_digest(saved.digest, "digest")
    kept, staged = store.checkpoints.path(saved.digest), staging_folder(store, job_id) / saved.digest
    # It may be there already, from a request before this one.
    file = next((file for file in (kept, staged) if file.exists()), None)
    if file is None:
        raise _missing([f"checkpoint {saved.digest}"])
    if (size := file.stat().st_size) != saved.bytes:
        raise invalid([Fault(("bytes",), f"the checkpoint {saved.digest} has {size} bytes, not {saved.bytes}")])
    if file is staged:
        store.checkpoints.adopt(staged, saved.digest)


def adopt_model(store: Store, job_id: str, files: Mapping[str, str], model_digest: str) -> None:
    """Puts a model together of uploaded files (name → digest), checks all of it and moves it to its place.

    Raises a problem if a file is missing, or if together they are not the model that was announced.
    """
    _check_digest(model_digest, "data", "model_digest")
    for name, digest in files.items():
        _check_digest(digest, "files", name)
    if store.models.path(model_digest).exists():
        return  # the request before this one got as far as here, or an equal model is there already
    staged = staging_folder(store, job_id)
    if missing := [name for name, digest in files.items() if not (staged / digest).exists()]:
        raise _missing(missing)
    folder = Path(tempfile.mkdtemp(dir=staged))
    try:
        for name, digest in files.items():
            os.link(staged / digest, folder / name)
        folder.chmod(0o755)  # mkdtemp shuts everyone else out
        sync_folder(folder)
        try:
            _, found = read_directory(folder, frozenset(files) - {SUMS})
        except SavedModelError as error:
            raise _damaged(f"it is not whole: {error}") from None
        if found != model_digest:
            raise _damaged(f"its digest is {found}")
        store.models.adopt(folder, model_digest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def staged_jobs(store: Store) -> list[str]:
    """The jobs for which something is staged."""
    folder = store.home / "uploads"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def sweep(store: Store, job_ids: Collection[str]) -> None:
    """Removes what is staged for jobs that do not run any more."""
    for job_id in job_ids:
        shutil.rmtree(staging_folder(store, job_id), ignore_errors=True)


def _check_digest(digest: str, *path: str) -> None:
    try:
        checked_digest(digest)
    except ValueError as error:
        raise invalid([Fault(path, str(error))]) from None


def _damaged(detail: str) -> Problem:
    return Problem("damaged-model", 409, "The uploaded model is not the announced one", detail)


def _missing(what: Collection[str]) -> Problem:
    detail = f"not uploaded: {', '.join(what)}"
    return Problem("missing-upload", 409, "Files are missing", detail, "upload them under this lease, then ask again")
