"""What a client raises, all of it a ClientError. Imports the standard library; httpx2 for types.

* ClientError
  * ApiError: the service refused a request
  * ServiceUnreachableError: nothing answers, or no ktrdr service does
  * JobEndedError: a job was asked for its result and has none
    * JobFailedError
    * JobCancelledError
  * MissingLibraryError: a data frame was asked for, and pandas is not installed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

    from ktrdr.api.views import JobView


class ClientError(Exception):
    """What went wrong is its text; `fix`, where it is not empty, says what to do."""

    fix: str = ""


class ApiError(ClientError):
    """The service refused the request; everything it said about that is here."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.title = str(problem.get("title") or f"The service answered with status {status}")
        self.detail = str(problem.get("detail") or "")
        self.fix = str(problem.get("fix") or "")
        #: `{path, pointer, detail, fix}` for each fault of the request.
        self.errors: list[dict[str, str]] = list(problem.get("errors") or [])
        super().__init__(self.detail or self.title)
        for fault in self.errors:  # a traceback shows them too
            self.add_note(
                "  " + "; ".join(filter(None, (f"{fault.get('path')}: {fault.get('detail')}", fault.get("fix"))))
            )


class ServiceUnreachableError(ClientError):
    """Nothing answers at the address, or it stopped answering."""

    fix = "start it with: ktrdr up (or say where it is, with --url or KTRDR_URL)"

    def __init__(self, url: str, error: httpx2.HTTPError | httpx2.InvalidURL | str) -> None:
        super().__init__(f"the service at {url} cannot be reached: {error or type(error).__name__}")
        self.url = url


class JobEndedError(ClientError):
    """The job ended without a result; `job` is all that is known of it."""

    def __init__(self, job: JobView, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.job = job
        self.message = message
        self.fix = fix


class JobFailedError(JobEndedError):
    """The job failed. `kind` is a word for programs (`diverged`, `no_gpu`, …), `where` the place, if it is known."""

    def __init__(self, job: JobView) -> None:
        failure = job["failure"]
        message = (failure and failure["message"]) or "nobody knows why"
        super().__init__(job, f"job {job['id']} failed: {message}", (failure and failure["fix"]) or "")
        self.kind = failure["kind"] if failure else "unknown"
        self.where = failure["where"] if failure else None


class JobCancelledError(JobEndedError):
    """The job was cancelled. `kind` says how that ended (`stopped`, `killed`, `not_started`, …)."""

    def __init__(self, job: JobView) -> None:
        cancellation = job["cancellation"]
        by = f" by {cancellation['requested_by']}" if cancellation else ""
        reason = f": {cancellation['reason']}" if cancellation and cancellation["reason"] else ""
        fix = "go on from its checkpoint with: retry(from_checkpoint=True)" if job["checkpoint"] else ""
        super().__init__(job, f"job {job['id']} was cancelled{by}{reason}", fix)
        self.kind = (cancellation and cancellation["outcome"]) or "unknown"


class MissingLibraryError(ClientError, ImportError):
    """A library that this one method needs is not installed."""

    def __init__(self, library: str, what: str) -> None:
        super().__init__(f"{what} needs {library}, which is not installed", name=library)
        self.fix = f"pip install {library}"
