"""What a request for a training holds over HTTP; its meaning is found by `ktrdr.submission`.

Imports pydantic and the submissions.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ktrdr.api.requests import Body
from ktrdr.jobs.events import JobSubmitted, Target
from ktrdr.store.reader import Reader
from ktrdr.submission import preparing
from ktrdr.submission.request import TrainingRequest
from ktrdr.submission.strategies import StrategyCache

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\s=,]+$")]


def _text_or_object(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError("a strategy is text or an object")
    return value


#: Said in one sentence, where a union would give one fault for each of its types.
StrategySource = Annotated[str | dict[str, Any], BeforeValidator(_text_or_object)]


class JobRequest(Body):
    """A training to be done."""

    strategy: StrategySource = Field(
        description="The strategy file as YAML or JSON text, or as an object, or the name of a stored or sample one."
    )
    symbols: list[str] | None = Field(None, max_length=1000, description="In place of the file's.")
    timeframes: list[str] | None = Field(None, max_length=10, description="In place of the file's.")
    start: str | None = Field(None, description="First moment of the data, in place of the file's.")
    end: str | None = Field(None, description="Last moment; a bare date means to the end of that day.")
    seed: int | None = Field(
        None, ge=0, lt=2**53, description="In place of the file's; without either 0. Equal seeds give equal models."
    )
    target: Target | None = Field(None, strict=False, description="Which workers may run it.")
    require_gpu: bool = Field(False, description="Fail rather than run without a GPU.")
    prefer_gpu: bool = Field(False, description="Run on a GPU if one is free, else without, and say why.")
    priority: int = Field(0, ge=-1000, le=1000, description="Higher runs first.")
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=32)
    max_attempts: int = Field(3, ge=1, le=100, description="Tries before the job counts as failed.")
    strict: bool = Field(False, description="Count warnings of the strategy file as faults.")
    checkpoint_every_epochs: int | None = Field(None, ge=1, description="Save a checkpoint after so many epochs.")
    checkpoint_every_seconds: float | None = Field(
        30, gt=0, le=86_400, description="Save one at the first end of an epoch after so long; null for never."
    )


def prepare(
    request: JobRequest,
    request_digest: str,
    idempotency_key: str | None,
    *,
    traceparent: str | None = None,
    default_target: Target,
    reader: Reader,
    cache: StrategyCache,
) -> JobSubmitted:
    """The event that submits the job. Raises InvalidInputError with every fault of the request."""
    return preparing.prepare(
        TrainingRequest(**dict(request)),
        request_digest,
        idempotency_key,
        traceparent=traceparent,
        default_target=default_target,
        reader=reader,
        cache=cache,
    )
