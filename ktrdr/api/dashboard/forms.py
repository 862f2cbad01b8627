"""What a form of a page sends: `application/x-www-form-urlencoded` within bounds. Imports starlette."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request

from ktrdr.api.requests import JSON_LIMIT, read_body
from ktrdr.problems import invalid, unsupported_media_type
from ktrdr.training.faults import Fault

FORM_TYPE = "application/x-www-form-urlencoded"


class Form:
    """The fields of a form as texts; a field that was not sent is empty."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """The field without the spaces around it; newlines as `\\n`, whatever the browser sends."""
        return self._fields.get(name, [""])[-1].replace("\r\n", "\n").strip()

    def texts(self, name: str) -> list[str]:
        """Each value of a field that may be sent several times, such as a group of checkboxes."""
        return list(self._fields.get(name, ()))

    def is_set(self, name: str) -> bool:
        """Whether a checkbox is ticked."""
        return name in self._fields

    def whole(self, name: str) -> int | None:
        """A whole number; None if the field is empty. Raises a problem for what is none."""
        text = self.text(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise invalid([Fault((name,), f"{text[:80]!r} is not a whole number")]) from None


async def read_form(request: Request) -> Form:
    """The form that a request brings. Raises a problem for another kind of body, or one that is too large."""
    kind = request.headers.get("content-type", FORM_TYPE).partition(";")[0].strip().lower()
    if kind != FORM_TYPE:
        raise unsupported_media_type(kind, FORM_TYPE)
    body = await read_body(request, JSON_LIMIT)
    try:
        return Form(parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=1000, errors="strict"))
    except ValueError:
        raise invalid([Fault((), "the form cannot be read", "send it as a browser does, in UTF-8")]) from None
