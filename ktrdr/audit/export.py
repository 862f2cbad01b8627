"""The log in forms that other programs read: CloudEvents 1.0 as JSON lines, and Parquet for pandas.

Imports the store and pyarrow when a table is written. Everything is read page by page: no snapshot is held, and the
memory does not grow with the log. (CloudEvents: https://github.com/cloudevents/spec, v1.0.2, with its JSON format.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import JobId
from ktrdr.store.reader import Reader, StoredEvent

if TYPE_CHECKING:
    import pyarrow

SOURCE_PREFIX = "urn:ktrdr:log:"
TYPE_PREFIX = "dev.ktrdr.job."
#: Events that are read at once.
PAGE = 200
#: Events in a row group of a Parquet file, which is what is held in memory.
ROW_GROUP = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which events: those after one position and up to another, of all jobs or of one."""

    after: int = 0
    #: None: up to the newest event at the time of the first look, so that an export of a growing log ends.
    until: int | None = None
    job_id: JobId | None = None


def pages(reader: Reader, stretch: Stretch, *, size: int = PAGE) -> Iterator[Sequence[StoredEvent]]:
    """The events, oldest first, in pages of at most `size`; between two of them nothing is held."""
    until = reader.last_position() if stretch.until is None else stretch.until
    after = stretch.after
    while after < until:
        if stretch.job_id is None:
            page = reader.events(after=after, limit=min(size, until - after))
        else:
            page = reader.job_events(stretch.job_id, after=after, limit=size)
        wanted = [event for event in page if event.position <= until]
        if wanted:
            yield wanted
        if len(wanted) < len(page) or not page:
            return
        after = page[-1].position


def cloud_event(event: StoredEvent, origin: str) -> str:
    """An event as a CloudEvent in structured JSON, on one line without its end.

    `origin` is the log's name, which with the id, the position, names the event world-wide. The data is the canonical
    text as it was recorded; where it was pruned the CloudEvent has none. Extensions: `jobversion` (the place within the
    job), `eventschema`, `actor`, `leafhash` (hexadecimal, the leaf of the Merkle tree).
    """
    content = f',"datacontenttype":"application/json","data":{event.data}' if event.data else ""
    return (
        f'{{"specversion":"1.0","id":"{event.position}","source":{dumps(SOURCE_PREFIX + origin)},'
        f'"type":"{TYPE_PREFIX}{event.type}.v{event.schema}","subject":"{event.job_id}","time":"{event.recorded_at}",'
        f'"jobversion":{event.version},"eventschema":{event.schema},"actor":{dumps(event.actor)},'
        f'"leafhash":"{event.leaf_hash.hex()}"{content}}}'
    )


def cloud_event_lines(page: Sequence[StoredEvent], origin: str) -> bytes:
    return "".join(f"{cloud_event(event, origin)}\n" for event in page).encode()


def write_cloud_events(reader: Reader, stretch: Stretch, origin: str, file: BinaryIO) -> int:
    """Writes the events as JSON lines; gives their number. Raises OSError."""
    count = 0
    for page in pages(reader, stretch):
        file.write(cloud_event_lines(page, origin))
        count += len(page)
    return count


def write_parquet(reader: Reader, stretch: Stretch, target: Path) -> int:
    """Writes the events as a Parquet file; gives their number. Raises OSError.

    Columns: position, job_id, version, type, schema, actor, recorded_at (UTC, µs), leaf_hash (32 bytes), and data: JSON
    text, null where it was pruned.
    """
    import pyarrow.parquet

    schema = _schema()
    count = 0
    with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for page in pages(reader, stretch, size=ROW_GROUP):
            writer.write_table(pyarrow.Table.from_pylist([_row(event) for event in page], schema=schema))
            count += len(page)
    return count


def _row(event: StoredEvent) -> dict[str, object]:
    return {
        **asdict(event),
        "recorded_at": datetime.fromisoformat(event.recorded_at),
        "data": event.data or None,
    }


def _schema() -> pyarrow.Schema:
    import pyarrow

    return pyarrow.schema(
        [
            ("position", pyarrow.int64()),
            ("job_id", pyarrow.string()),
            ("version", pyarrow.int32()),
            ("type", pyarrow.dictionary(pyarrow.int32(), pyarrow.string())),
            ("schema", pyarrow.int32()),
            ("actor", pyarrow.string()),
            ("recorded_at", pyarrow.timestamp("us", tz="UTC")),
            ("leaf_hash", pyarrow.binary(32)),
            ("data", pyarrow.string()),
        ]
    )
