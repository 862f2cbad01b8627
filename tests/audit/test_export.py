"""Exports for other programs: CloudEvents by the rules of the specification, and Parquet that gives the log back."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest
from audited_log import COMPLETED_JOB, RUNNING_JOB, write_log
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from ktrdr.audit.export import Stretch, cloud_event, pages, write_cloud_events, write_parquet
from ktrdr.store import Reader, Store
from ktrdr.store.reader import StoredEvent

ORIGIN = "ktrdr.local/0123"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_log(tmp_path_factory.mktemp("export") / "home")


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    reader = store.open_reader()
    yield reader
    reader.close()


def exported(reader: Reader, stretch: Stretch) -> list[dict[str, object]]:
    file = io.BytesIO()
    count = write_cloud_events(reader, stretch, ORIGIN, file)
    lines = file.getvalue().decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == count
    return [json.loads(line) for line in lines]


def test_each_event_is_read_by_the_cloudevents_package(reader: Reader) -> None:
    for event in reader.all_events():
        read = JSONFormat().read(CloudEvent, cloud_event(event, ORIGIN).encode())
        assert read.get_specversion() == "1.0"
        assert read.get_id() == str(event.position)
        assert read.get_source() == "urn:ktrdr:log:ktrdr.local/0123"
        assert read.get_type() == f"dev.ktrdr.job.{event.type}.v{event.schema}"
        assert read.get_subject() == event.job_id
        assert read.get_datacontenttype() == "application/json"
        time = read.get_time()
        assert time is not None
        assert time.isoformat() == event.recorded_at.replace("Z", "+00:00")
        assert read.get_data() == json.loads(event.data)
        assert read.get_extension("leafhash") == event.leaf_hash.hex()
        assert read.get_extension("jobversion") == event.version
        assert read.get_extension("eventschema") == event.schema
        assert read.get_extension("actor") == event.actor


def test_attributes_have_names_and_values_that_the_specification_allows(reader: Reader) -> None:
    for event in exported(reader, Stretch()):
        for name, value in event.items():
            if name == "data":
                continue
            assert re.fullmatch("[a-z0-9]{1,20}", name)
            assert isinstance(value, str | int)
            assert not isinstance(value, int) or -(2**31) <= value < 2**31


def test_the_data_is_the_text_that_was_recorded(reader: Reader) -> None:
    for event in reader.all_events():
        assert cloud_event(event, ORIGIN).endswith(f',"data":{event.data}}}')


def test_an_event_that_was_pruned_has_no_data(reader: Reader) -> None:
    event = replace(reader.events(limit=1)[0], data="")
    read = json.loads(cloud_event(event, ORIGIN))
    assert "data" not in read
    assert "datacontenttype" not in read
    assert read["leafhash"] == event.leaf_hash.hex()


def test_texts_of_users_cannot_leave_their_place(reader: Reader) -> None:
    event = replace(reader.events(limit=1)[0], actor='client:"},\n{"')
    line = cloud_event(event, ORIGIN)
    assert "\n" not in line
    assert json.loads(line)["actor"] == event.actor


def test_a_stretch_of_the_log_or_of_a_job_can_be_chosen(reader: Reader) -> None:
    def positions(stretch: Stretch) -> list[str]:
        return [str(event["id"]) for event in exported(reader, stretch)]

    last = reader.last_position()
    assert positions(Stretch()) == [str(number) for number in range(1, last + 1)]
    assert positions(Stretch(after=2, until=5)) == ["3", "4", "5"]
    assert positions(Stretch(after=last)) == []
    assert positions(Stretch(until=0)) == []
    assert positions(Stretch(job_id=COMPLETED_JOB)) == ["1", "2", "3", "4", "5", "6"]
    assert positions(Stretch(job_id=COMPLETED_JOB, after=2, until=4)) == ["3", "4"]
    assert positions(Stretch(job_id=RUNNING_JOB)) == [str(last - 1), str(last)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_are_bounded_and_leave_nothing_out(reader: Reader, size: int) -> None:
    for stretch in (Stretch(), Stretch(job_id=COMPLETED_JOB), Stretch(after=3, until=8)):
        found = list(pages(reader, stretch, size=size))
        assert all(1 <= len(page) <= size for page in found)
        assert [event for page in found for event in page] == list(next(pages(reader, stretch, size=1000)))


def test_parquet_gives_the_log_back(reader: Reader, tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    assert write_parquet(reader, Stretch(), file) == reader.last_position()
    read = pyarrow.parquet.read_table(file).to_pylist()
    back = [
        StoredEvent(**row | {"recorded_at": row["recorded_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "data": row["data"]})
        for row in read
    ]
    assert back == list(reader.all_events())


def test_pandas_reads_times_as_times_and_types_as_categories(reader: Reader, tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    write_parquet(reader, Stretch(job_id=COMPLETED_JOB), file)
    frame = pd.read_parquet(file)
    assert str(frame["recorded_at"].dtype) == "datetime64[us, UTC]"
    assert frame["type"].value_counts()["JobSubmitted"] == 1
    assert list(frame["version"]) == [1, 2, 3, 4, 5, 6]


def test_an_export_without_events_is_an_empty_table(reader: Reader, tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    assert write_parquet(reader, Stretch(after=reader.last_position()), file) == 0
    assert pyarrow.parquet.read_table(file).num_rows == 0
