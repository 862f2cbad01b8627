"""What people do with a job from its page: cancel, retry, fork. Imports the API's own functions.

Forms lead back to a page: to the job, or to the new one. What is refused is said on the page of the job.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import yaml
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ktrdr.api.context import actor_of, context_of, job_id_of
from ktrdr.api.dashboard.forms import Form, read_form
from ktrdr.api.dashboard.job_page import job_answer
from ktrdr.api.dashboard.rendering import as_page
from ktrdr.api.jobs import CancelRequest, request_cancellation
from ktrdr.api.requests import faults_of
from ktrdr.api.retries import ForkRequest, RetryRequest, create_again, make_fork, make_retry
from ktrdr.jobs.refusals import RefusalError, UnknownJobError
from ktrdr.problems import Problem, from_refusal, invalid
from ktrdr.training.faults import Fault, InvalidInputError

#: Does what a form asks for and gives the job to look at then.
Action = Callable[[Request, Form], Awaitable[str]]


def _of_a_form(act: Action) -> Callable[[Request], Awaitable[Response]]:
    """A handler that acts and leads to a job, or shows the job of the path with what was wrong."""

    @as_page
    @wraps(act)
    async def answer(request: Request) -> Response:
        try:
            job_id = await act(request, await read_form(request))
        except UnknownJobError:
            raise
        except RefusalError as refusal:
            return await job_answer(request, problem=from_refusal(refusal))
        except InvalidInputError as error:
            return await job_answer(request, problem=invalid(error.faults))
        except Problem as problem:
            return await job_answer(request, problem=problem)
        except ValidationError as error:
            return await job_answer(request, problem=invalid(faults_of(error)))
        return RedirectResponse(f"/jobs/{job_id}", 303)

    return answer


@_of_a_form
async def cancel_job(request: Request, form: Form) -> str:
    """Asks the job to stop."""
    asked = CancelRequest(reason=form.text("reason"))
    job_id = job_id_of(request)
    await request_cancellation(context_of(request), job_id, asked, actor=actor_of(request))
    return job_id


@_of_a_form
async def retry_job(request: Request, form: Form) -> str:
    """Submits the same training once more, from the start or from its newest checkpoint."""
    asked = RetryRequest(from_checkpoint=form.text("from") == "checkpoint")
    return (await create_again(request, job_id_of(request), asked, make_retry)).job_id


@_of_a_form
async def fork_job(request: Request, form: Form) -> str:
    """Submits a training that goes on from an epoch of this one, with changes."""
    asked = ForkRequest(epoch=form.whole("epoch"), seed=form.whole("seed"), changes=read_changes(form.text("changes")))
    return (await create_again(request, job_id_of(request), asked, make_fork)).job_id


def read_changes(text: str) -> dict[str, Any]:
    """Lines of `key=value` as dotted keys with their values, read as YAML. Raises a problem for other lines."""
    changes: dict[str, Any] = {}
    faults: list[Fault] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not (key and equals):
            fix = "write one change a line, such as training.optimizer.learning_rate=0.0005"
            faults.append(Fault(("changes", f"line {number}"), f"{line.strip()[:80]!r} is not key=value", fix))
            continue
        changes[key] = read
    if faults:
        raise invalid(faults)
    return changes
