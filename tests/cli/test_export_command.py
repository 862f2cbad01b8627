"""`ktrdr audit export`, on an installation without a running service."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pyarrow.parquet
import pytest
from audited_log import COMPLETED_JOB, RUNNING_JOB, write_log
from commands import ktrdr

from ktrdr.jobs.identity import make_job_id


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    write_log(home)
    monkeypatch.setenv("KTRDR_HOME", str(home))
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    return home


@pytest.mark.usefixtures("home")
def test_a_bundle_is_written_under_the_jobs_name(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "audit", "export", "--bundle", COMPLETED_JOB)
    assert (ran.code, ran.out) == (0, f"bundle-{COMPLETED_JOB}.zip\n")
    assert [path.name for path in Path().iterdir()] == [f"bundle-{COMPLETED_JOB}.zip"]
    with zipfile.ZipFile(ran.out.strip()) as archive:
        assert archive.testzip() is None


@pytest.mark.usefixtures("home")
def test_a_job_may_be_named_by_a_part_of_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [COMPLETED_JOB, RUNNING_JOB]
    short = next(COMPLETED_JOB[:length] for length in range(8, 37) if not ids[1].startswith(COMPLETED_JOB[:length]))
    assert ktrdr(capsys, "audit", "export", "--bundle", short, "-o", "mine.zip").out == "mine.zip\n"
    with zipfile.ZipFile("mine.zip") as archive:
        assert json.loads(archive.read("bundle.json"))["job_id"] == COMPLETED_JOB


@pytest.mark.usefixtures("home")
def test_where_it_was_written_can_be_had_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "audit", "export", "--bundle", COMPLETED_JOB, "--json")
    path = Path(ran.json["path"])
    assert ran.json["bytes"] == path.stat().st_size


@pytest.mark.usefixtures("home")
def test_cloud_events_go_to_a_file_or_to_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from ktrdr import cli

    assert cli.run(["audit", "export", "--format", "cloudevents", "-o", "-"]) == 0
    streamed = capfdbinary.readouterr().out
    assert [json.loads(line)["id"] for line in streamed.splitlines()] == [str(number) for number in range(1, 12)]
    assert cli.run(["audit", "export", "--format", "cloudevents"]) == 0
    said = capfdbinary.readouterr()
    assert (said.out, said.err) == (b"events-all.jsonl\n", b"11 events\n")
    assert Path("events-all.jsonl").read_bytes() == streamed


@pytest.mark.usefixtures("home")
def test_a_table_of_one_job(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "audit", "export", "--format", "parquet", "--job", COMPLETED_JOB, "--after", 2)
    assert ran.out == f"events-{COMPLETED_JOB}.parquet\n"
    assert pyarrow.parquet.read_table(ran.out.strip())["position"].to_pylist() == [3, 4, 5, 6]
    assert [path.name for path in Path().iterdir()] == [f"events-{COMPLETED_JOB}.parquet"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say either --format or --bundle"),
        (["--format", "parquet", "--bundle", COMPLETED_JOB], "say either --format or --bundle"),
        (["--bundle", COMPLETED_JOB, "--after", "0"], "leave out --job, --after and --until"),
        (["--format", "parquet", "-o", "-"], "a Parquet file cannot be written to stdout"),
        (["--bundle", make_job_id(0, bytes(10))], "there is no job"),
    ],
)
def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    ran = ktrdr(capsys, "audit", "export", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert list(Path().iterdir()) == []


def test_a_bundle_of_a_job_whose_model_is_gone_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(home / "models")
    ran = ktrdr(capsys, "audit", "export", "--bundle", COMPLETED_JOB)
    assert ran.code == 1
    assert "is no saved model" in ran.err
    assert list(Path().iterdir()) == []
