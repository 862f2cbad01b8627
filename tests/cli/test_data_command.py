"""`ktrdr data` against a real service."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ktrdr
from running_service import RunningService

BARS = "Date,Open,High,Low,Close,Volume\n2024-01-02,1,2,1,2,10\n2024-01-03,2,3,2,3,10\n"


def test_a_file_is_imported_under_its_name(
    capsys: pytest.CaptureFixture[str], service: RunningService, tmp_path: Path
) -> None:
    file = tmp_path / "ZZZ.csv"
    file.write_text(BARS)
    ran = ktrdr(capsys, "data", "import", file, "--url", service.url)
    assert ran.code == 0
    assert ran.out.splitlines()[1].split()[:5] == ["ZZZ", "1d", "2", "2024-01-02", "2024-01-03"]
    assert "note: the symbol is the name of the file: ZZZ" in ran.err
    assert "\nZZZ " in ktrdr(capsys, "data", "list", "--url", service.url).out


def test_the_samples_are_imported(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    imported = ktrdr(capsys, "data", "import", "--sample", "--json", "--url", service.url).json["datasets"]
    assert {one["symbol"]: one["rows"] for one in imported}["AAPL"] == 3270
    listed = ktrdr(capsys, "data", "list", "--json", "--url", service.url).json["datasets"]
    assert all(one in listed for one in imported)


def test_a_file_with_faults_is_refused_with_all_of_them(
    capsys: pytest.CaptureFixture[str], service: RunningService, tmp_path: Path
) -> None:
    file = tmp_path / "BAD.csv"
    file.write_text(BARS.replace("2,3,2,3,10", "2,x,2,,10"))
    ran = ktrdr(capsys, "data", "import", file, "--url", service.url)
    assert ran.code == 2
    assert "high is not a number" in ran.err
    assert "close is blank" in ran.err


def test_the_values_of_a_context_series_are_imported(
    capsys: pytest.CaptureFixture[str], service: RunningService, tmp_path: Path
) -> None:
    file = tmp_path / "fredgraph.csv"
    file.write_text("observation_date,DGS10\n2024-01-01,.\n2024-01-02,3.95\n2024-01-03,-0.5\n")
    series = ("--series", "CLI_RATE", "--frequency", "daily", "--url", service.url)
    ran = ktrdr(capsys, "data", "import", file, *series)
    assert ran.code == 0
    assert ran.out.splitlines()[1].split()[:6] == ["CLI_RATE", "1d", "2", "2024-01-02", "2024-01-03", "values"]
    assert ran.err == "note: 1 rows without a value are left out\n"
    ran = ktrdr(capsys, "data", "import", file, *series, "--column", "DGS2")
    assert ran.code == 2
    assert "no header with a time and DGS2 is found" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--series", "X"], "--series and --frequency belong together"),
        (["--frequency", "daily"], "--series and --frequency belong together"),
        (["--column", "X"], "--series and --frequency belong together"),
        (["--series", "X", "--frequency", "daily", "--symbol", "Y"], "are of prices, not of a series"),
    ],
)
def test_what_belongs_to_prices_is_not_given_for_a_series(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    ran = ktrdr(capsys, "data", "import", __file__, *arguments)
    assert ran.code == 2
    assert words in ran.err


@pytest.mark.parametrize("arguments", [[], ["--sample", __file__]], ids=["neither", "both"])
def test_either_a_file_or_the_sample(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    ran = ktrdr(capsys, "data", "import", *arguments)
    assert ran.code == 2
    assert ran.err == "error: give either a FILE or --sample\n  fix: see ktrdr data import --help\n"
