"""What a client does, as values: a request, pages of them, a stream, and steps that build on each other.

Imports the standard library; httpx2 for types. Nothing here, and nothing that makes these values, speaks to anybody:
`ktrdr.client.colours` carries them out, for callers that wait and for callers that await.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

if TYPE_CHECKING:
    import httpx2

    from ktrdr.api.views import EventView

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
#: Below this is the versioned part of the API.
PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx2.Response], T_co]
    params: Mapping[str, Any] = field(default_factory=dict)
    #: The body: a value that is sent as JSON, or bytes.
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Whether it may arrive twice.
    repeatable: bool = True
    #: Whether an answer that says no is an answer like any other.
    reads_refusals: bool = False
    #: How long an answer may take, if not as long as any other.
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    items: Sequence[T_co]
    #: The call that gives the next one; None on the last.
    next: Call[Page[T_co]] | None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T_co]):
    """Items that are asked for page by page."""

    first: Call[Page[T_co]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Following(Generic[T_co]):
    """Items that are told as they happen (`ktrdr.client.stream`)."""

    path: str
    read: Callable[[EventView], T_co]
    #: The position of the last event that is known already.
    after: int = 0
    #: Types of events after which there are no more.
    ends: tuple[str, ...] = ()
    #: How long the service may be away.
    patience_seconds: float = 120.0
    #: How long all of it may take.
    timeout: float | None = None
    on_interruption: Callable[[], None] | None = None
    #: Opens a display that is shown each event.
    show: Callable[[], AbstractContextManager[Callable[[EventView], None]]] | None = None


Items = Pages[T] | Following[T]
#: Calls that build on each other's answers: each one is yielded, and its answer sent back; Items come back as a list.
Steps = Generator[Call[Any] | Pages[Any] | Following[Any], Any, T]
Plan = Call[T] | Steps[T]


def answer_of(call: Call[T]) -> Steps[T]:
    """A call as one of several steps."""
    return cast("T", (yield call))


def all_of(items: Items[T]) -> Steps[list[T]]:
    """Every item, as one of several steps."""
    return cast("list[T]", (yield items))


def as_json(answer: httpx2.Response) -> Any:
    return answer.json()


def as_text(answer: httpx2.Response) -> str:
    return answer.text


def as_bytes(answer: httpx2.Response) -> bytes:
    return answer.content


def part(name: str) -> Callable[[httpx2.Response], Any]:
    """Reads one member of the JSON object that an answer is."""
    return lambda answer: answer.json()[name]


def given(**values: Any) -> dict[str, Any]:
    """What the caller has said; the service knows the defaults of the rest."""
    return {name: value for name, value in values.items() if value is not None}


def path(*parts: str) -> str:
    return "/".join((PREFIX, *(quote(one, safe="") for one in parts)))


def once(idempotency_key: str | None) -> dict[str, str]:
    """The header by which the service knows a repetition."""
    return {"Idempotency-Key": idempotency_key or uuid4().hex}
