"""What changed between two moments over HTTP: which jobs, and which of their fields. Imports jobs and the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.api.context import context_of
from ktrdr.api.cursors import link_to_next, read_cursor, write_cursor
from ktrdr.api.moments import DESCRIPTION, read_position
from ktrdr.api.requests import Body, read_query
from ktrdr.api.views import JobView, job_view
from ktrdr.problems import invalid
from ktrdr.store.history import JobChange, changed_jobs
from ktrdr.training.faults import Fault

#: They differ whenever anything does; each change says which version and position it is at.
_ALWAYS = {"version", "position", "updated_at"}


class DiffQuery(Body):
    """Which two moments."""

    from_: str = Field(alias="from", max_length=64, description=DESCRIPTION)
    to: str | None = Field(None, max_length=64, description=f"{DESCRIPTION} Without it, the present.")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=120, description="From `next_cursor` of the page before.")


class Moment(TypedDict):
    #: How many events the job has at that moment, and the position of the newest.
    version: int
    position: int


class FieldChange(TypedDict):
    #: Of the job's view, dotted: `status`, `progress.epoch`.
    field: str
    #: None where the job had no such thing.
    before: Any
    after: Any


class JobDifference(TypedDict):
    id: str
    name: str
    #: None if the job was submitted in between.
    before: Moment | None
    after: Moment
    changes: list[FieldChange]


DiffPage = TypedDict(
    "DiffPage",
    {
        #: The positions that the two moments mean.
        "from": int,
        "to": int,
        #: The jobs that changed, the newest submission first.
        "jobs": list[JobDifference],
        #: Give it as `cursor` for the next page; None on the last.
        "next_cursor": str | None,
    },
)


async def diff(request: Request) -> Response:
    """Which jobs are not the same at two moments, and in which fields."""
    query, context = read_query(request, DiffQuery), context_of(request)
    reader = context.reader
    faults: list[Fault] = []
    first = read_position(query.from_, "from", faults, reader)
    last = reader.last_position() if query.to is None else read_position(query.to, "to", faults, reader)
    cursor = read_cursor(query.cursor, faults, pinned=2)
    before = None
    if cursor:
        before, first, last = cursor
    if first is not None and last is not None and first > last:
        faults.append(Fault(("from",), f"position {first} comes after `to`, {last}", "give the earlier moment first"))
    if faults or first is None or last is None:
        raise invalid(faults)
    found = await context.past.ask(changed_jobs, first, last, before=before, limit=query.limit + 1)
    page, is_last = found[: query.limit], len(found) <= query.limit
    next_cursor = None if is_last else write_cursor(page[-1].submitted_position, first, last)
    body: DiffPage = {"from": first, "to": last, "jobs": [*map(_difference, page)], "next_cursor": next_cursor}
    return JSONResponse(body, headers=link_to_next(request, cursor=next_cursor))


def _difference(change: JobChange) -> JobDifference:
    before, after = None if change.before is None else job_view(change.before), job_view(change.after)
    return JobDifference(
        id=after["id"],
        name=after["name"],
        before=before and Moment(version=before["version"], position=before["position"]),
        after=Moment(version=after["version"], position=after["position"]),
        changes=changed_fields(before, after),
    )


def changed_fields(before: JobView | None, after: JobView) -> list[FieldChange]:
    """The fields in which two views of a job differ, in the order of the view; all that is known if there was none."""
    old, new = dict(_fields(before or {})), dict(_fields(after))
    return [
        FieldChange(field=field, before=old.get(field), after=new.get(field))
        for field in [*new, *(field for field in old if field not in new)]
        if field not in _ALWAYS and old.get(field) != new.get(field)
    ]


def _fields(view: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a view, those of its groups dotted."""
    for name, value in view.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        else:
            yield name, value
