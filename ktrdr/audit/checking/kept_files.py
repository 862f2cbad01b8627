"""Whether the files that jobs rest on are there and are what their digests say. Imports the store and training."""

from __future__ import annotations

from collections.abc import Iterator

from ktrdr.audit.checking.findings import DAMAGE
from ktrdr.audit.checking.folding import Needed
from ktrdr.files import file_digest
from ktrdr.store import Store
from ktrdr.training.model_directory import SavedModelError, read_directory


def check_files(store: Store, needed: Needed) -> Iterator[str]:
    """What is missing, damaged or replaced, each in a sentence."""
    for digest, needed_by in needed.models.items():
        yield from _check_model(store, digest, needed_by)
    for digest, needed_by in needed.prices.items():
        yield from _check_prices(store, digest, needed_by)
    for digest, saved_by in needed.checkpoints.items():
        yield from _check_checkpoint(store, digest, saved_by)


def _check_model(store: Store, digest: str, needed_by: str) -> Iterator[str]:
    try:
        folder = store.models.path(digest)
        if not folder.exists():
            yield f"the model {digest} of {needed_by} is missing"
            return
        _, found = read_directory(folder)
    except (SavedModelError, *DAMAGE, OSError) as error:
        yield f"the model {digest} of {needed_by} is damaged: {error}"
    else:
        if found != digest:
            yield f"the model {digest} of {needed_by} was replaced by another one, {found}"


def _check_prices(store: Store, digest: str, needed_by: str) -> Iterator[str]:
    try:
        found = file_digest(store.prices.path(digest))
    except FileNotFoundError:
        yield f"the price data {digest} of {needed_by} is missing"
    except (*DAMAGE, OSError) as error:
        yield f"the price data {digest} of {needed_by} cannot be read: {error}"
    else:
        if found != digest:
            yield f"the price data {digest} of {needed_by} was changed: its digest is {found}"


def _check_checkpoint(store: Store, digest: str, saved_by: str) -> Iterator[str]:
    """A checkpoint is an aid and no promise: that one was removed is no finding."""
    try:
        found = file_digest(store.checkpoints.path(digest))
    except FileNotFoundError:
        return
    except (*DAMAGE, OSError) as error:
        yield f"the checkpoint {digest} of {saved_by} cannot be read: {error}"
    else:
        if found != digest:
            yield f"the checkpoint {digest} of {saved_by} was changed: its digest is {found}"
