"""What the form of a new job holds, as it was typed; what is wrong with it; and the job that it asks for.

Imports the grammar, the store and this package's own parts. Everything is checked by the functions that check a request
of the API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request

from ktrdr.api.dashboard.forms import Form
from ktrdr.api.jobs import resolve
from ktrdr.api.requests import faults_of
from ktrdr.api.submissions import JobRequest
from ktrdr.jobs.events import JobSubmitted
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.parse import Parsed, parse
from ktrdr.training.strategy.places import Place, placed, places_of

#: Fields of the form that hold one text each, as it is typed.
_TEXTS = ("start", "end", "seed", "target", "priority", "labels", "gpu", "max_attempts", "key")
_WHOLE = ("seed", "priority", "max_attempts")


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was typed; nothing of it is refused yet."""

    strategy: str
    symbols: tuple[str, ...] = ()
    timeframes: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    seed: str = ""
    target: str = ""
    priority: str = ""
    labels: str = ""
    gpu: str = ""
    max_attempts: str = ""
    #: Made anew for each form, so that one that is sent twice makes one job.
    key: str = ""
    keep: bool = False


def read_typed(form: Form) -> Typed:
    """What a form holds. The lines of the strategy stay where they are."""
    (strategy,) = form.texts("strategy")[-1:] or ("",)
    return Typed(
        strategy=strategy.replace("\r\n", "\n"),
        symbols=_listed(form.texts("symbols")),
        timeframes=_listed(form.texts("timeframes")),
        keep=form.is_set("keep"),
        **{name: form.text(name) for name in _TEXTS},
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at a form."""

    #: Each with path, line, column, detail and fix; those about the strategy have the path within it.
    strategy_faults: Sequence[Mapping[str, Any]]
    warnings: Sequence[Mapping[str, Any]]
    #: Name of a field → what is wrong with it.
    field_faults: Mapping[str, Sequence[Fault]]
    #: The strategy, where the text alone is right.
    parsed: Parsed | None
    #: The job, where everything is right.
    submitted: JobSubmitted | None


def look_at(request: Request, typed: Typed, digest: str = "") -> Looked:
    """Everything that is wrong with a form, or the event that begins its job."""
    parsed, warnings = _parse(typed.strategy)
    submitted: JobSubmitted | None = None
    asked, faults = _asked(typed)
    if asked is not None:
        try:
            submitted = _prepare(request, asked, typed, digest)
        except InvalidInputError as error:
            faults = [*faults, *error.faults]
    elif parsed is None:
        faults = [*faults, *_strategy_faults(typed.strategy)]
    places = places_of(typed.strategy)
    of_strategy = [_within(fault) for fault in faults if fault.path[:1] == ("strategy",)]
    of_fields: dict[str, list[Fault]] = {}
    for fault in faults:
        if fault.path[:1] != ("strategy",):
            of_fields.setdefault(_FIELDS.get(str(fault.path[0]), str(fault.path[0])), []).append(fault)
    return Looked(
        strategy_faults=[_placed(fault, places) for fault in of_strategy],
        warnings=[_placed(fault, places) for fault in warnings],
        field_faults=of_fields,
        parsed=parsed,
        submitted=submitted if not faults else None,
    )


#: Names of a request's fields → those of the form.
_FIELDS = {"require_gpu": "gpu", "prefer_gpu": "gpu"}


def _parse(text: str) -> tuple[Parsed | None, Sequence[Fault]]:
    try:
        parsed = parse(text)
    except InvalidInputError as error:
        return None, error.warnings
    return parsed, parsed.warnings


def _strategy_faults(text: str) -> list[Fault]:
    try:
        parse(text)
    except InvalidInputError as error:
        return [Fault(("strategy", *fault.path), fault.problem, fault.fix, fault.at) for fault in error.faults]
    return []


def _asked(typed: Typed) -> tuple[JobRequest | None, list[Fault]]:
    """The request that the form makes, or why it makes none."""
    faults: list[Fault] = []
    fields: dict[str, Any] = {
        # A text of one line would be read as the name of a stored strategy.
        "strategy": typed.strategy if "\n" in typed.strategy else f"{typed.strategy}\n",
        "require_gpu": typed.gpu == "require",
        "prefer_gpu": typed.gpu == "prefer",
        "labels": _labels(typed.labels, faults),
    }
    for name in ("symbols", "timeframes"):
        if given := getattr(typed, name):
            fields[name] = list(given)
    for name in ("start", "end", "target"):
        if given := getattr(typed, name):
            fields[name] = given
    for name in _WHOLE:
        text = getattr(typed, name)
        if not text:
            continue
        try:
            fields[name] = int(text)
        except ValueError:
            faults.append(Fault((name,), f"{text[:80]!r} is not a whole number"))
    try:
        asked = JobRequest.model_validate(fields)
    except ValidationError as error:
        return None, [*faults, *faults_of(error)]
    return asked, faults


def _labels(text: str, faults: list[Fault]) -> dict[str, str]:
    """`desk=rates, owner=anna` as labels."""
    labels = {}
    for part in text.replace(",", " ").split():
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            faults.append(Fault(("labels",), f"{part[:80]!r} is no label", "write desk=rates, several with commas"))
        else:
            labels[name] = value
    return labels


def _prepare(request: Request, asked: JobRequest, typed: Typed, digest: str) -> JobSubmitted:
    # The same form with something changed is another request.
    key = f"form-{typed.key[:64]}-{digest[:16]}" if typed.key and digest else None
    return resolve(request, asked, key=key, digest=digest)


def _placed(fault: Fault, places: Mapping[tuple[str | int, ...], Place]) -> Mapping[str, Any]:
    """The fault with its place, which stands beside it and so need not stand in its words too."""
    found = placed(fault, places)
    return found | {"detail": str(found["detail"]).removeprefix(f"line {found['line']}, column {found['column']}: ")}


def _within(fault: Fault) -> Fault:
    """A fault of a request's strategy as one of the file."""
    return Fault(fault.path[1:], fault.problem, fault.fix, fault.at)


def _listed(texts: Sequence[str]) -> tuple[str, ...]:
    """Values that were ticked or typed with commas."""
    return tuple(dict.fromkeys(part for text in texts for part in text.replace(",", " ").split()))
