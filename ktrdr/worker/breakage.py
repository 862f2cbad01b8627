"""How a training that broke is told: from the error to the kind, the place and the way out.

Imports training's progress and the messages.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from ktrdr.disk import trouble_of
from ktrdr.training.progress import TrainingFailedError
from ktrdr.worker.messages import Broke

#: The kind of what nobody foresaw.
UNEXPECTED = "unexpected_error"
#: How torch says that there is no memory, on each kind of device: it raises plain RuntimeErrors of several words.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")


def told(error: Exception, *, where: str, output: Path) -> Broke:
    """What is said of an attempt that ended by `error`. `where` is where the training stood, `output` its model."""
    if isinstance(error, TrainingFailedError):
        place = error.where or where
        return Broke(kind=error.kind, message=str(error), where=place, fix=error.fix, retryable=False)
    if _is_out_of_memory(error):
        details = f": {str(error).splitlines()[0][:300]}" if str(error) else ""
        return Broke(
            kind="out_of_memory",
            message=f"the training needs more memory than there is{details}",
            where=where,
            fix="use fewer bars, features or hidden units, or run it on a larger machine",
            retryable=True,
        )
    if isinstance(error, OSError):
        return storage_broke(error, where=where, folder=output.parent)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return Broke(
        kind=UNEXPECTED,
        message=f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})",
        where=where,
        fix="this is a fault of ktrdr; the worker's log has the details",
        retryable=False,
    )


def storage_broke(error: OSError, *, where: str, folder: Path) -> Broke:
    """What is said of an attempt whose files could not be read or written in `folder`."""
    trouble = trouble_of(error, folder)
    if trouble is None:
        fix = "look at the disk and at who may use that file, then retry"
        return Broke(kind="storage", message=str(error), where=where, fix=fix, retryable=True)
    return Broke(kind="storage", message=trouble.detail, where=where, fix=trouble.fix, retryable=True)


def _is_out_of_memory(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(one in words for one in _NO_MEMORY)
    )
