"""Schedules: trainings that the service submits by the clock. Imports the client's own parts.

What these give has the API's own shapes (`ktrdr.api.schedule_views`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

from ktrdr.client.calls import Call, Page, Pages, as_json, given, once, part, path
from ktrdr.client.operations.jobs import PAGE_SIZE, strategy_source

if TYPE_CHECKING:
    import httpx2

    from ktrdr.api.schedule_views import ChangedSchedule, FiringView, ScheduleView, TimingPreview
    from ktrdr.api.views import JobView


class Definition(TypedDict, total=False):
    """What may be said of a schedule beside its job; what is None is as the service has it by default."""

    cron: str | None
    every: str | None
    timezone: str | None
    start: str | None
    end: str | None
    misfire: Literal["skip", "once", "all"] | None
    grace_seconds: float | None
    overlap: Literal["skip", "queue"] | None
    window: str | None
    end_lag: str | None
    window_ends: Literal["due", "last_bar"] | None
    seed: Literal["request", "firing"] | None


def schedules() -> Call[list[ScheduleView]]:
    """Every schedule, by name, with when it is due next and what it did last."""
    return Call(method="GET", path=path("schedules"), read=part("schedules"))


def schedule(name: str) -> Call[ScheduleView]:
    """One of them."""
    return Call(method="GET", path=path("schedules", name), read=as_json)


def create_schedule(name: str, job: Mapping[str, Any], **said: Unpack[Definition]) -> Call[ChangedSchedule]:
    """Lets the service submit a training by the clock; gives the schedule with `warnings`.

    `job` is what `submit` takes, as a mapping: `{"strategy": "trend_follower", "symbols": ["AAPL"]}`. Due by a `cron`
    expression in a time zone, or `every` so often ("6h"). With a `window` ("730d") the data of each job reaches so far
    back from its moment, or with `window_ends="last_bar"` from the last bar that there is.
    """
    body = {"name": name, **_definition(job, said)}
    return Call(method="POST", path=path("schedules"), json=body, read=as_json, repeatable=False)


def change_schedule(
    name: str, job: Mapping[str, Any], *, version: int | None = None, **said: Unpack[Definition]
) -> Call[ChangedSchedule]:
    """Puts another definition in the place of a schedule's, all of it; with a `version`, only of that one."""
    body = _definition(job, said)
    return Call(method="PUT", path=path("schedules", name), json=body, headers=_only(version), read=as_json)


def pause_schedule(name: str, *, reason: str = "") -> Call[ChangedSchedule]:
    """Lets a schedule fire no more until it goes on."""
    return Call(method="POST", path=path("schedules", name, "pause"), json={"reason": reason}, read=as_json)


def resume_schedule(name: str) -> Call[ChangedSchedule]:
    """Lets a paused schedule go on; what came due in the meantime is skipped."""
    return Call(method="POST", path=path("schedules", name, "resume"), read=as_json)


def fire_schedule(name: str, *, idempotency_key: str | None = None) -> Call[JobView]:
    """Submits the job of a schedule now, paused or not."""
    return Call(method="POST", path=path("schedules", name, "fire"), headers=once(idempotency_key), read=as_json)


def delete_schedule(name: str, *, version: int | None = None) -> Call[None]:
    """Ends a schedule; its jobs stay. With a `version`, only while it is at that one."""
    return Call(
        method="DELETE", path=path("schedules", name), headers=_only(version), read=lambda _: None, repeatable=False
    )  # fmt: skip


def firings(name: str, *, limit: int | None = None) -> Pages[FiringView]:
    """What became of the moments of a schedule, newest first: fired or skipped, and why."""

    def call(cursor: str | None, left: int | None) -> Call[Page[Any]]:
        size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)

        def read(answer: httpx2.Response) -> Page[Any]:
            document = answer.json()
            after = None if left is None else left - len(document["firings"])
            goes_on = document["next_cursor"] is not None and after != 0
            return Page(document["firings"], call(document["next_cursor"], after) if goes_on else None)

        query = {**given(cursor=cursor), "limit": size}
        return Call(method="GET", path=path("schedules", name, "firings"), params=query, read=read)

    return cast("Pages[FiringView]", Pages(call(None, limit)))


def preview_schedule(
    *,
    cron: str | None = None,
    every: str | None = None,
    timezone: str | None = None,
    start: str | None = None,
    end: str | None = None,
    count: int | None = None,
) -> Call[TimingPreview]:
    """When a schedule of such a timing would be due next, in UTC (`next`) and by its own clock (`local`)."""
    query = given(cron=cron, every=every, timezone=timezone, start=start, end=end, count=count)
    return Call(method="GET", path=path("schedules", "preview"), params=query, read=as_json)


def _definition(job: Mapping[str, Any], said: Definition) -> dict[str, Any]:
    return {**given(**said), "job": {**job, "strategy": strategy_source(job["strategy"])}}


def _only(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"v{version}"'}
