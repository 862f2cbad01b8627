"""Reading a request: its body within bounds, its JSON into a model, every fault with its place.

Imports starlette, pydantic and canonical JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from ktrdr.jobs.canonical import dumps
from ktrdr.problems import invalid, too_large, unsupported_media_type
from ktrdr.training.faults import Fault

#: The most bytes of a JSON body; a model can have less.
JSON_LIMIT = 1_000_000
ModelType = TypeVar("ModelType", bound="Body")


class Body(BaseModel):
    """A request body or query: nothing unknown, nothing converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    #: The most bytes of such a body.
    LIMIT: ClassVar[int] = JSON_LIMIT


def _require_plain(value: dict[str, Any]) -> dict[str, Any]:
    dumps(value)  # raises ValueError for numbers and texts that the store could not keep
    return value


#: An object of whatever content, that canonical JSON can hold.
PlainObject = Annotated[dict[str, Any], AfterValidator(_require_plain)]


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises the problem `too-large` as soon as it is known to be."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return b"".join(parts)


def has_body(request: Request) -> bool:
    """Whether a request brings the body that it may leave out."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


async def read_json(request: Request, model: type[ModelType]) -> ModelType:
    """The body as a model. Raises a problem that lists every fault."""
    return (await read_json_and_digest(request, model))[0]


async def read_json_and_digest(
    request: Request, model: type[ModelType], look_further: Callable[[ModelType], Sequence[Fault]] = lambda _: ()
) -> tuple[ModelType, str]:
    """The body as a model, and the SHA-256 of its bytes, to recognise a repeated request by.

    Of a body that is wrong, `look_further` is shown what is right of it and tells what is wrong with its meaning, so
    that a person hears of everything at once.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise unsupported_media_type(kind, "application/json")
    body = await read_body(request, model.LIMIT)
    try:
        return model.model_validate_json(body), sha256(body).hexdigest()
    except ValidationError as error:
        right = _right_fields(model, body, error)
        raise invalid([*faults_of(error), *(look_further(right) if right else ())]) from None


def _right_fields(model: type[ModelType], body: bytes, error: ValidationError) -> ModelType | None:
    """The body without the fields that are wrong; None if it cannot do without one of them."""
    wrong = {detail["loc"][0] for detail in error.errors(include_url=False) if detail["loc"]}
    try:
        fields = json.loads(body)
        return model.model_validate_json(json.dumps({name: fields[name] for name in fields if name not in wrong}))
    except (ValueError, TypeError, RecursionError):  # no JSON, no object, or nothing is left that makes a request
        return None


def read_query(request: Request, model: type[ModelType]) -> ModelType:
    """The query parameters as a model, text converted to what its fields need.

    A parameter that is given several times becomes a list, and so does each whose field wants one.
    """
    values: dict[str, Any] = {}
    for name in request.query_params:
        given = request.query_params.getlist(name)
        field = model.model_fields.get(name)
        wants_list = field is not None and str(field.annotation).startswith("tuple")
        values[name] = tuple(given) if wants_list or len(given) > 1 else given[0]
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        raise invalid(faults_of(error)) from None


def faults_of(error: ValidationError) -> list[Fault]:
    """What a model found wrong, each with its place."""
    return [_fault(detail) for detail in error.errors(include_url=False)]


def _fault(detail: Mapping[str, Any]) -> Fault:
    path = [part for part in detail["loc"] if part != "[key]"]
    given = repr(detail["input"])
    match detail["type"]:
        case "json_invalid":
            return Fault((), f"the body is not JSON: {detail['ctx']['error']}")
        case "missing":
            return Fault((*path,), "is missing")
        case "extra_forbidden":
            return Fault((*path,), "is not known here")
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return Fault((*path,), f"{given if len(given) < 80 else given[:77] + '…'} is not possible: {message}")
