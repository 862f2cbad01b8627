"""Price files as people have them: what is understood, and what is refused with which lines."""

from __future__ import annotations

import gzip
import io
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from price_examples import price_frame

from ktrdr.training.faults import InvalidInputError
from ktrdr.training.price_import import Imported, check_timeframe, read_prices

HEADER = "Date,Open,High,Low,Close,Volume\n"


def imported(text: str | bytes, **options: Any) -> Imported:
    options.setdefault("filename", "AAPL.csv")
    return read_prices(text.encode() if isinstance(text, str) else text, **options)


def faults_of(text: str | bytes, **options: Any) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        imported(text, **options)
    return [str(fault) for fault in caught.value.faults]


def times_of(text: str | bytes, **options: Any) -> list[datetime]:
    (frame,) = imported(text, **options).frames.values()
    return [time.to_pydatetime() for time in frame.index]


def dated(*dates: str, header: str = HEADER, separator: str = ",") -> str:
    rows = "".join(separator.join([date, "1.5", "2.5", "1", "2", "7"]) + "\n" for date in dates)
    return header.replace(",", separator) + rows


def day(number: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2020, 1, number, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    "header",
    [
        "date,OPEN,high,Low,CLOSE,Volume",
        "Datetime,Open,High,Low,Close,Vol.",
        "Open time,open,high,low,close,volume",
        "timestamp,open,high,low,price,vol",
        ",Open,High,Low,Close,Volume",
        "Unnamed: 0,Open,High,Low,Close,Volume",
        '"Date","Open","High","Low","Close/Last","Volume"',
        "Gmt time;Open;High;Low;Close;Volume",
        "Date\tOpen\tHigh\tLow\tClose\tVolume",
        "Date | Open | High | Low | Close | Volume",
    ],
)
def test_the_common_names_of_columns_and_separators_are_understood(header: str) -> None:
    separator = next(s for s in ";\t|," if s in header)
    cells = ["2020-01-02", "1.5", "2.5", "1", "2", "7"]
    (frame,) = imported(f"{header}\n{separator.join(cells)}\n").frames.values()
    assert frame.iloc[0].to_dict() == {"open": 1.5, "high": 2.5, "low": 1.0, "close": 2.0, "volume": 7.0}
    assert frame.index[0] == day(2)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["2020-01-02", "2020-01-03"], [day(2), day(3)]),
        (["2020/1/2", "2020/1/3"], [day(2), day(3)]),
        (["20200102", "20200103"], [day(2), day(3)]),
        (["202001020930", "202001020931"], [day(2, 9, 30), day(2, 9, 31)]),
        (["2020-01-02 09:30", "2020-01-02 09:31:00"], [day(2, 9, 30), day(2, 9, 31)]),
        (["2020-01-02T09:30:00Z", "2020-01-02T10:31:00+01:00"], [day(2, 9, 30), day(2, 9, 31)]),
        (["2020-01-02 09:30:00 UTC", "2020-01-02 09:31:00 UTC"], [day(2, 9, 30), day(2, 9, 31)]),
        (["02.01.2020", "13.01.2020"], [day(2), day(13)]),
        (["01/02/2020", "01/13/2020"], [day(2), day(13)]),
        (["1/2/2020 9:30 AM", "1/13/2020 12:05 PM"], [day(2, 9, 30), day(13, 12, 5)]),
        (["02-Jan-2020", "03-Jan-2020"], [day(2), day(3)]),
        (['"Jan 2, 2020"', '"Jan 3, 2020"'], [day(2), day(3)]),
        (["1577923200", "1578009600"], [day(2), day(3)]),
        (["1577923200.0", "1578009600.0"], [day(2), day(3)]),
        (["1577923200000", "1578009600000"], [day(2), day(3)]),
        (["1577923200000000", "1578009600000000"], [day(2), day(3)]),
        (["946857600000", "946944000000"], [datetime(2000, 1, 3, tzinfo=UTC), datetime(2000, 1, 4, tzinfo=UTC)]),
        (["1577923200000000000", "1578009600000000000"], [day(2), day(3)]),
    ],
    ids=lambda value: str(value[0]),
)
def test_times_are_understood_without_guessing(written: list[str], expected: list[datetime]) -> None:
    assert times_of(dated(*written)) == expected


def test_naive_times_are_in_the_time_zone_that_is_given() -> None:
    assert times_of(dated("2020-01-02 09:30"), timezone="America/New_York") == [day(2, 14, 30)]
    assert times_of(dated("2020-01-02T09:30:00Z"), timezone="America/New_York") == [day(2, 9, 30)]
    assert times_of(dated("1577957400"), timezone="America/New_York") == [day(2, 9, 30)]


def test_a_date_format_settles_what_is_ambiguous() -> None:
    text = dated("03/01/2020", "04/01/2020")
    (fault,) = faults_of(text)
    assert fault == (
        "time: '03/01/2020' may begin with the day or the month, and no row decides it "
        "(give date_format, for example %d/%m/%Y or %m/%d/%Y)"
    )
    assert times_of(text, date_format="%d/%m/%Y") == [day(3), day(4)]
    assert times_of(dated("03/01/20"), date_format="%d/%m/%y") == [day(3)]


def test_metatrader_writes_date_and_time_apart_in_utf_16() -> None:
    text = (
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
        "2020.01.02\t00:00:00\t1.1\t1.3\t1.0\t1.2\t55\t0\t4\r\n"
        "2020.01.02\t01:00:00\t1.2\t1.3\t1.1\t1.2\t44\t0\t4\r\n"
    )
    read = imported(text.encode("utf-16"), filename="EURUSD.csv")
    frame = read.frames["EURUSD"]
    assert list(frame.index) == [day(2, 0), day(2, 1)]
    assert list(frame["volume"]) == [55.0, 44.0]
    assert read.notes[0] == "columns that are not read: <VOL>, <SPREAD>"


def test_decimal_commas_are_read_where_a_comma_separates_nothing() -> None:
    (frame,) = imported("Date;Open;High;Low;Close\n2020-01-02;1,5;2,5;1;2\n").frames.values()
    assert frame.iloc[0].tolist() == [1.5, 2.5, 1.0, 2.0, 0.0]


def test_a_file_written_newest_first_is_turned_round() -> None:
    read = imported(dated("2020-01-03", "2020-01-02"))
    assert list(read.frames["AAPL"].index) == [day(2), day(3)]
    assert "AAPL was written newest first and is turned round" in read.notes


def test_a_column_of_symbols_gives_a_frame_for_each() -> None:
    text = "Ticker,Date,Open,High,Low,Close\nB,2020-01-02,1,2,1,2\nA,2020-01-02,3,4,3,4\nB,2020-01-03,1,2,1,2\n"
    read = imported(text)
    assert {name: len(frame) for name, frame in read.frames.items()} == {"B": 2, "A": 1}
    assert list(imported(text, symbol="A").frames) == ["A"]
    assert faults_of(text, symbol="C") == ["symbol: there are no rows of 'C' (one of B, A)"]


def test_prices_are_adjusted_only_when_asked() -> None:
    text = "Date,Open,High,Low,Close,Adj Close,Volume\n2020-01-02,10,12,8,10,5,7\n"
    plain, adjusted = imported(text), imported(text, adjust=True)
    assert plain.frames["AAPL"].iloc[0].tolist() == [10, 12, 8, 10, 7]
    assert "the adjusted close is not used; with adjust the prices are adjusted by it" in plain.notes
    assert adjusted.frames["AAPL"].iloc[0].tolist() == [5, 6, 4, 5, 7]
    assert faults_of(dated("2020-01-02"), adjust=True) == [
        "adjust: there is no adjusted close to adjust by (a column Adj Close, or no adjust)"
    ]


@settings(max_examples=100, deadline=None)
@given(st.floats(0.01, 1e5), st.floats(1e-4, 1e5))
def test_adjusting_keeps_the_order_of_the_prices(close: float, adjusted: float) -> None:
    text = f"Date,Open,High,Low,Close,Adj Close\n2020-01-02,{close},{close},{close},{close},{adjusted}\n"
    frame = imported(text, adjust=True).frames["AAPL"]
    assert frame["close"].iloc[0] == pytest.approx(adjusted)


def test_lines_above_the_header_and_blank_lines_are_left_out() -> None:
    read = imported("https://example.org\n" + dated("2020-01-02") + "\n\n")
    assert len(read.frames["AAPL"]) == 1
    assert read.notes[0] == "1 lines above the header are left out"


@pytest.mark.parametrize("name", ["AAPL.csv", "AAPL.csv.gz", "prices/AAPL.CSV", "AAPL"])
def test_the_symbol_is_given_or_the_name_of_the_file(name: str) -> None:
    assert list(imported(dated("2020-01-02"), filename=name).frames) == ["AAPL"]
    assert list(imported(dated("2020-01-02"), filename=name, symbol="IBM").frames) == ["IBM"]


def test_gzip_and_parquet_are_recognised_by_their_bytes() -> None:
    text = dated("2020-01-02", "2020-01-03")
    expected = imported(text).frames["AAPL"]
    pd.testing.assert_frame_equal(imported(gzip.compress(text.encode())).frames["AAPL"], expected)
    frame = expected.rename(columns=str.title)
    for shape in (frame, frame.reset_index(), frame.tz_convert("Asia/Tokyo"), frame.tz_localize(None)):
        target = io.BytesIO()
        shape.to_parquet(target)
        read = imported(target.getvalue()).frames["AAPL"]
        pd.testing.assert_frame_equal(read, expected, check_index_type=False)


REFUSED = [
    ("", "no header with open, high, low and close is found (name the columns in the first line)"),
    ("a,b\n1,2\n", "no header with open, high, low and close is found: it begins with 'a,b'"),
    (HEADER, "there are no rows below the header (at least one bar)"),
    ("Open,High,Low,Close\n1,2,1,2\n", "no column for time among Open, High, Low, Close"),
    (
        dated("2020-01-02", "2020-01-02"),
        "AAPL.time: the time repeats the row before in 1 row: line 3 (2020-01-02 00:00",
    ),
    (dated("2020-01-03", "2020-01-02", "2020-01-04"), "AAPL.time: the time is before the row above in 1 row: line 3 ("),
    (dated("2020-01-02", "", "2020-01-03"), "time: the time is blank: line 3 ('') (a time in every row)"),
    (dated("2020-01-02", "soon"), "time: the time cannot be read: line 3 ('soon') (give date_format, for example"),
    (dated("2020-01-02", "2020-02-31"), "time: the time cannot be read: line 3 ('2020-02-31') (dates"),
    (dated("20200102", "20200232"), "time: the time cannot be read: line 3 ('20200232') (dates"),
    (dated("13/01/2020", "01/13/2020"), "time: day and month are in another order than in most rows: line "),
    (
        dated("2020-01-02T10:00Z", "2020-01-02T11:00"),
        "time: the time has no offset from UTC, though others have: line 3 ('2020-01-02T11:00') (an offset",
    ),
    (HEADER + "2020-01-02,1,2,,2,7\n", "low: low is blank: line 2 ('') (a number in every row)"),
    (HEADER + "\n2020-01-02,1,2,null,2,7\n", "low: low is blank: line 3 ('null') (a number in every row)"),
    (HEADER + "2020-01-02,1,x,1,2,7\n", "high: high is not a number: line 2 ('x') (a plain number such as 1234.5)"),
    (HEADER + "2020-01-02,$1,2,1,2,7\n", "open: open is not a number: line 2 ('$1')"),
    (
        HEADER + '2020-01-02,"1,234.5",2,1,2,7\n',
        "open: open has a thousands separator: line 2 ('1,234.5') (write 1234.5 and not 1,234.5)",
    ),
    (HEADER + '2020-01-02,1,2,1,2,"1,000"\n', "volume: volume has a thousands separator: line 2 ('1,000')"),
    (HEADER + "2020-01-02,1,2,1,2,1.2M\n", "volume: volume is not a number: line 2 ('1.2M')"),
    (HEADER + "2020-01-02,1,0.5,1,1,7\n", "AAPL.open: open is above high in 1 row: line 2 (2020-01-02 00:00:00+00:00)"),
    (HEADER + "2020-01-02,1,2,1,2,7,8\n", "line 2 has 7 cells, the header has 6 (as many cells as the header)"),
    (HEADER + "2020-01-02,1,2,1,2,7\n2020-01-03,1,2,1,2,7,8,9\n", "line 3 has 8 cells, the header has 6"),
    (HEADER + "2020-01-02,1,2,1\n", "close: close is blank: line 2 ('')"),
    (HEADER + '2020-01-02,"1,2,1,2,7\n', "line 2 has a quote inside a cell, or one that is not closed (quotes around"),
    (HEADER + '2020-01-02,1"2,"1,2,7\n', "line 2 has a quote inside a cell"),
    (HEADER.encode() + b"2020-01-02,\xff,2,1,2,7\n", "line 2 holds bytes that are not text in UTF-8"),
    (b"\x1f\x8b\x08damaged", "the gzip data is damaged"),
    (gzip.compress(b"x" * 1000)[:-10], "the gzip data is damaged"),
    (b"PAR1damagedPAR1", "the file is no readable Parquet"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_read_without_guessing_is_refused_with_its_lines(text: str | bytes, expected: str) -> None:
    assert faults_of(text)[0].startswith(expected)


def test_the_faults_of_all_columns_are_told_at_once() -> None:
    faults = faults_of(HEADER + "soon,1,x,,2,7\n")
    assert [fault.split(":")[0] for fault in faults] == ["time", "high", "low"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"timezone": "Mars/Olympus"},
            "timezone: 'Mars/Olympus' is no time zone (for example UTC or America/New_York)",
        ),
        ({"timezone": "../../etc/passwd"}, "timezone: '../../etc/passwd' is no time zone"),
        ({"date_format": "%Q"}, "date_format: '%Q' is no date_format"),
        (
            {"date_format": "%d.%m.%Y"},
            "time: the time cannot be read: line 2 ('2020-01-02') (the date_format that all rows",
        ),
        (
            {"symbol": "EUR/USD"},
            "symbol: 'EUR/USD' is no symbol (give the symbol: 1 to 32 letters, digits and . _ ^ = -)",
        ),
        ({"filename": "my prices.csv"}, "symbol: 'my prices' is no symbol"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: dict[str, Any], expected: str) -> None:
    assert faults_of(dated("2020-01-02"), **options)[0].startswith(expected)


def test_local_times_that_a_clock_change_repeats_are_refused() -> None:
    text = dated("2020-11-01 00:30", "2020-11-01 01:30", "2020-11-01 02:30")
    (fault,) = faults_of(text, timezone="America/New_York")
    assert fault == (
        "time: the local time is skipped or repeated by a clock change in America/New_York: "
        "line 3 ('2020-11-01 01:30') (export the times in UTC)"
    )


def test_the_timeframe_is_found_or_contradicted() -> None:
    assert check_timeframe(price_frame(4, "h")) == "1h"
    assert check_timeframe(price_frame(1), "1d") == "1d"
    for frame, given_timeframe, expected in [
        (
            price_frame(4, "h"),
            "1d",
            "timeframe: most bars are 1:00:00 apart, which contradicts the timeframe '1d' (give '1h', or none)",
        ),
        (
            price_frame(4, "3min"),
            None,
            "timeframe: most bars are 0:03:00 apart, which is no timeframe (one of 1m, 5m, 15m,",
        ),
        (price_frame(1), None, "timeframe: one bar alone shows no timeframe (give the timeframe, one of 1m"),
        (price_frame(4), "3d", "timeframe: '3d' is no timeframe (one of 1m"),
    ]:
        with pytest.raises(InvalidInputError) as caught:
            check_timeframe(frame, given_timeframe)
        assert str(caught.value).startswith(expected)


CELL = st.sampled_from(
    [
        "\r",
        ' "1" ',
        "1",
        "2.5",
        "-1",
        "",
        "x",
        "1e400",
        "nan",
        "inf",
        '"',
        "1,5",
        "2020-01-02",
        "1577923200",
        "99/99/9999",
        "\x00",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(CELL, max_size=8), max_size=5),
    st.binary(max_size=30),
    st.sampled_from([b"", b"PAR1", b"\x1f\x8b"]),
)
def test_no_bytes_raise_anything_but_faults(rows: list[list[str]], tail: bytes, head: bytes) -> None:
    text = HEADER + "\n".join(",".join(row) for row in rows)
    with suppress(InvalidInputError):
        imported(head + text.encode() + tail)
