"""Pages from templates: one environment, its filters, and `page`, which every handler ends with. Imports jinja2.

Values are escaped unless a template says otherwise; a name that a template lacks is an error, not an empty text. Times
are written in UTC with their moment in `datetime`, and the browser shows them in its own zone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache, wraps
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ktrdr.api.access.callers import caller_of
from ktrdr.api.dashboard import assets
from ktrdr.jobs.codec import EVENT_TYPES
from ktrdr.jobs.refusals import RefusalError
from ktrdr.problems import Problem, from_refusal, invalid
from ktrdr.sentences import counted, seconds_between, seconds_text, words
from ktrdr.training.faults import InvalidInputError

Handler = Callable[[Request], Awaitable[Response]]

#: Title and address of what the navigation leads to.
NAVIGATION = (
    ("Jobs", "/"),
    ("New", "/new"),
    ("Compare", "/compare"),
    ("Workers", "/workers"),
    ("Schedules", "/schedules"),
    ("Audit", "/audit"),
    ("API docs", "/docs"),
)
NONE = "–"  # noqa: RUF001  # a dash for people


def page(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """A page. It is made for the one who asks, so nobody keeps it."""
    known = {"here": request.url.path, "signed_in": signed_in_as(request)}
    text = environment().get_template(template).render(known | values)
    return HTMLResponse(text, status, {"Cache-Control": "no-store", **(headers or {})})


def signed_in_as(request: Request) -> str | None:
    """The name under which the one who asks has signed in; None where nobody has to, or for a token in a header."""
    caller = caller_of(request)
    return caller.name if caller.is_signed_in else None


def as_page(handler: Handler) -> Handler:
    """A handler whose problems are shown as a page, in words, rather than as JSON."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Problem as problem:
            return problem_page(request, problem)
        except RefusalError as refusal:
            return problem_page(request, from_refusal(refusal))
        except InvalidInputError as error:
            return problem_page(request, invalid(error.faults))

    return answer


def problem_page(request: Request, problem: Problem) -> Response:
    return page(request, "problem.html", status=problem.status, headers=problem.headers, problem=problem)


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        moment=moment, day=day, duration=duration, number=number, percent=percent, loss=loss, words=words,
        counted=counted, digest=digest,
    )  # fmt: skip
    made.globals.update(
        static=assets.address,
        navigation=NAVIGATION,
        event_types=" ".join(EVENT_TYPES),
        seconds_between=seconds_between,
        NONE=NONE,
    )
    return made


def moment(instant: str | None) -> str:
    """A moment of the log to the second; its element lets the browser show it in its own zone."""
    if not instant:
        return NONE
    return Markup('<time datetime="{}">{} UTC</time>').format(instant, f"{instant[:10]} {instant[11:19]}")


def day(instant: str | None) -> str:
    """The day of a moment of the data, with the time if it is not midnight. It stays in UTC, as the data is."""
    if not instant:
        return NONE
    return instant[:10] if instant[11:19] in ("", "00:00:00") else f"{instant[:10]} {instant[11:16]}"


def duration(seconds: float | None) -> str:
    return NONE if seconds is None else seconds_text(seconds)


def number(value: float | None) -> str:
    """With thousands apart: `12,345`; of a fraction six digits that count."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}".replace("-", "−")  # noqa: RUF001


def percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"


def loss(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def digest(text: str | None) -> str:
    """The beginning of a digest, whole when pointed at."""
    return Markup('<code class="digest" title="{}">{}</code>').format(text, text[:12]) if text else NONE
