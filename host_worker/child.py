"""The job process of the host worker: hears of a cancellation over the pipe from its worker, which asked the API.

Imports the shared child only. Started as `python -m host_worker.child DESCRIPTOR`.
"""

from __future__ import annotations

import select
from multiprocessing.connection import Connection
from typing import Any

from ktrdr.worker.child import Request, RequestLook, run_child
from ktrdr.worker.messages import Cancel, Train


def look_into_pipe(_job: Train, pipe: Connection[Any, Any]) -> RequestLook:
    """A look that costs a system call of about a microsecond."""
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLIN)

    def look() -> Request | None:
        if not poll.poll(0):
            return None
        message = pipe.recv()
        return Request(message.requested_at) if isinstance(message, Cancel) else None

    return look


if __name__ == "__main__":
    run_child(look_into_pipe)
