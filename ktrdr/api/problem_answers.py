"""A problem as the answer to a request. Imports starlette and the problems."""

from __future__ import annotations

import json

from starlette.responses import Response
from starlette.types import Scope

from ktrdr.problems import Problem

MEDIA_TYPE = "application/problem+json"


def problem_answer(problem: Problem, scope: Scope) -> Response:
    """What the client gets: the document of RFC 9457, with the id of its request, by which the log can be searched."""
    document = problem.document()
    if request_id := scope.get("state", {}).get("request_id"):
        document["request_id"] = request_id
    return Response(json.dumps(document), problem.status, {**problem.headers}, media_type=MEDIA_TYPE)
