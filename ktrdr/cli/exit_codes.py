"""What the exit codes of every command mean. Imports the standard library only."""

from __future__ import annotations

DONE, REFUSED, INVALID, JOB_FAILED, JOB_CANCELLED, NOT_FOUND, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130

#: Code → what happened, as `ktrdr --help` and the documentation say it.
EXIT_CODES: dict[int, str] = {
    DONE: "done",
    REFUSED: "refused or failed; a check found something wrong",
    INVALID: "wrong usage or input",
    JOB_FAILED: "the job that was followed failed",
    JOB_CANCELLED: "the job that was followed was cancelled",
    NOT_FOUND: "there is no such job or other thing",
    UNREACHABLE: "the service cannot be reached",
    INTERRUPTED: "stopped by Ctrl-C; a job that was followed goes on",
}
