"""Text to plain data: syntax faults with their place, and the traps of YAML."""

from __future__ import annotations

import json

import pytest
from strategy_examples import VALID

from ktrdr.training.faults import InvalidInputError
from ktrdr.training.strategy.parse import parse
from ktrdr.training.strategy.reader import MOST_BYTES, read_text


def fault_of(text: str | bytes) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_text(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty (a version 3 strategy file begins with its name)"),
        ("# only a comment\n", "the file is empty"),
        ("a: 1\nb:\n  - 1\n a: 2\n", "line 4, column 2: "),
        ("a: [1, 2\nb: 3\n", "line 2, column 2: while parsing a flow sequence"),
        ("a:\n\tb: 1\n", "line 2, column 1: a tab is used for indentation (indent with spaces)"),
        (
            "a: 1\nb: 2\na: 3\n",
            "a: line 3, column 1: the key 'a' is given twice, first on line 1 (keep one of the two)",
        ),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "b.c: line 1, column 24: the key 'c' is given twice, first on line 1"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: a second document begins (one strategy per file)"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "a: line 1, column 4: the tag 'tag:yaml.org,2002:python/object/app",
        ),
        (
            "a: !!int '3'\n",
            "a: line 1, column 4: the tag 'tag:yaml.org,2002:int' is not allowed (write the plain value)",
        ),
        ("a: &x [*x]\n", "a[0]: line 1, column 8: there is no anchor 'x'"),
        ("a: *b\n", "a: line 1, column 4: there is no anchor 'b'"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "c: line 3, column 3: merge keys (<<) are not supported (write the keys out)"),
        ("? [1, 2]\n: 3\n", "line 1, column 3: this key is not allowed (keys are text of 1 to 200 characters)"),
        ("k" * 300 + ": 1\n", "line 1, column 1: this key is not allowed"),
        ("a: .nan\nb: -.inf\n", "a: nan is not a finite number (a finite number); b: -inf is not a finite number"),
        ('{"a": NaN}', "a: nan is not a finite number"),
        ("a: 1e999\n", "a: inf is not a finite number"),
        ("a: " + "9" * 5000, "a: line 1, column 4: the number has 5000 digits"),
        ('{"a": "\\ud800"}', "a: the text holds half of a surrogate pair"),
        ("a: \x07\n", "the text holds a character"),
        (b"a: \xff\n", "line 1 holds bytes that are not UTF-8 (save the file as UTF-8)"),
        ('{"a":' * 5000, "a.a.a: line 1, column 106: the values are nested too deep"),
        ("a: " + "[" * 30 + "]" * 30, "a[0][0]: line 1, column 24: the values are nested too deep (at most 20 levels)"),
        ("- 1\n" * 20001, "[19999]: line 20000, column 3: the document is too large (at most 20000 values)"),
        ("x" * (MOST_BYTES + 1), f"the text has {MOST_BYTES + 1} bytes (at most {MOST_BYTES})"),
    ],
    ids=range(26),
)
def test_what_cannot_be_read_is_told_with_its_place(text: str | bytes, expected: str) -> None:
    assert fault_of(text).startswith(expected)


def test_aliases_that_unfold_into_billions_are_refused() -> None:
    lines = ["a0: &a0 [" + ", ".join("x" * 1 for _ in range(10)) + "]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "the aliases unfold too far" in fault_of("\n".join(lines))


def test_aliases_within_reason_are_read() -> None:
    assert read_text("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1", 1),
        ("-7", -7),
        ("1_000", 1000),
        ("014", "014"),
        ("0700", "0700"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("1e-3", 0.001),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.2.3", "1.2.3"),
        ("2020-01-31", "2020-01-31"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1d", "1d"),
    ],
)
def test_a_plain_word_means_what_it_looks_like(written: str, read: object) -> None:
    value = read_text(f"a: {written}\n")["a"]
    assert (value, type(value)) == (read, type(read))


def test_keys_are_always_text() -> None:
    assert read_text("on: 1\n2: 3\nnull: 4\n") == {"on": 1, "2": 3, "null": 4}


def test_symbols_and_memberships_may_be_called_as_yaml_calls_its_booleans() -> None:
    text = json.dumps(VALID)
    assert parse(text.replace('"AAPL"', '"ON"')).strategy.data.symbols == ("ON",)
    yaml = text.replace('"AAPL"', "NO").replace('"low"', "off").replace('"high"', "yes")
    strategy = parse(yaml).strategy
    assert strategy.data.symbols == ("NO",)
    assert [m.name for m in strategy.fuzzy_sets["momentum"].memberships] == ["off", "yes"]


def test_json_is_read_with_its_own_escapes_and_tabs() -> None:
    text = json.dumps(VALID | {"description": "up \U0001f4c8"}, indent="\t")
    assert "\\ud83d" in text
    strategy = parse(text).strategy
    assert strategy.metadata["description"] == "up \U0001f4c8"
    assert parse(text.encode("utf-8-sig")).strategy == strategy


def test_a_document_that_is_no_map_is_told_so() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse("- a\n- b\n")
    assert str(caught.value) == (
        "the file is a list of 2, not a map of keys and values (a version 3 strategy file begins with its name)"
    )


def test_nesting_beyond_what_the_parser_itself_allows_is_told_in_the_same_words() -> None:
    assert "the values are nested too deep" in fault_of("[" * 5000)
