"""Whether training a job again can show anything here, and if not, what would be right. Imports jobs and files."""

from __future__ import annotations

from typing import Any

from ktrdr import __version__
from ktrdr.audit.causes import MISSING, differences
from ktrdr.audit.rederivation.fresh_training import Message
from ktrdr.audit.rederivation.training_record import Conditions, TrainingRecord
from ktrdr.files import Prices, file_digest
from ktrdr.training.faults import dotted

#: Parts of a profile that seldom change a bit: with another value the training is tried, and an equal result shows as
#: much as ever, but a different one shows nothing.
_SELDOM_DECISIVE = ("python", "implementation", "glibc", "cpu")


class NotAttemptableError(Exception):
    """Training the job again here would show nothing; `fix` says what would be right."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.fix = fix


def require_something_to_compare(record: TrainingRecord) -> None:
    """Raises NotAttemptableError for a job that goes on, or of which nothing is on record."""
    if record.end is None:
        raise NotAttemptableError("it has not ended", "wait until it has ended")
    if not record.is_comparable:
        raise NotAttemptableError("the log holds nothing that a training could be compared with")


def require_data(record: TrainingRecord, prices: Prices) -> None:
    """Raises NotAttemptableError unless all data that the job was submitted with is here, byte by byte."""
    names = {one["digest"]: f"prices of {one['symbol']} {one['timeframe']}" for one in record.submitted.prices}
    names |= {one["digest"]: f"context series {one['name']}" for one in record.submitted.context}
    for digest, name in names.items():
        path = prices.path(digest)
        try:
            found = file_digest(path)
        except FileNotFoundError:
            raise NotAttemptableError(
                f"the {name} are missing", f"put the file with the SHA-256 {digest} back"
            ) from None
        except OSError as error:
            raise NotAttemptableError(f"the {name} cannot be read: {error}", f"look at {path}") from error
        if found != digest:
            raise NotAttemptableError(
                f"the {name} were changed: {path.name} has the SHA-256 {found}",
                "put the file of that name back as it was",
            )


def only_conditions(record: TrainingRecord) -> Conditions:
    """Under what the job was trained. Raises NotAttemptableError if that was not one and the same."""
    first, *others = record.conditions()
    if others:
        unlike = [dotted(place) for place, *_ in differences(first.decisive, others[0].decisive)]
        raise NotAttemptableError(f"its attempts ran under conditions that differ: {', '.join(unlike)}")
    if "environment" not in first.profile or "device" not in first.capabilities:
        raise NotAttemptableError("the log does not hold under which numeric profile it ran")
    return first


def doubts(ready: Message, conditions: Conditions, record: TrainingRecord) -> tuple[str, ...]:
    """What is not here as it was and may, though it seldom does, change a bit.

    Raises NotAttemptableError for what a training depends on and is not here as it was.
    """
    device = conditions.capabilities["device"]
    if ready["device"] != device:
        raise NotAttemptableError(f"it was trained on {device}, which is not here", f"use a machine that has {device}")
    unlike: list[str] = []
    for place, then, here in differences(conditions.profile, ready["profile"]):
        reason = f"{dotted(place)} is {_told(here)} here and was {_told(then)}"
        if place[0] not in _SELDOM_DECISIVE:
            raise NotAttemptableError(reason, f"use {dotted(place)} {_told(then)}")
        unlike.append(reason)
    if record.submitted.code_version != __version__:
        unlike.append(f"this is ktrdr {__version__} and it was submitted to {record.submitted.code_version}")
    return tuple(unlike)


def _told(value: Any) -> str:
    return "unknown" if value is MISSING or value is None else str(value)
