"""CSV that no spreadsheet calculates: the list of dangerous beginnings is written out here once more."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core.csv import cell, lines

# OWASP's beginnings of a formula, with the full-width forms that Excel takes for the same.
BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")', "=IMPORTXML(1)", "=WEBSERVICE(1)", "+1+1",
        "+cmd|' /C calc'!A0", "-1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)", "@cmd", "\t=1+1", "\r=1+1", "\n=1+1",
        "\r\n=1+1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(1)", "=", "-", "@", "\x00=1", "'=1+1",
    ],
)  # fmt: skip
def test_a_formula_becomes_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "value, written",
    [(None, ""), (7, "7"), (-7, "'-7"), (True, "True"), ("1-1", "1-1"), ("a=b", "a=b"), ("", ""),
     (["=1"], '["=1"]'), ({"=": "+"}, '{"=": "+"}'), ("%", "%"), (" =1", " =1")],
)  # fmt: skip
def test_what_is_no_formula_stays(value: Any, written: str) -> None:
    assert cell(value) == written


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2))
)
def test_every_text_comes_back_and_none_is_a_formula(rows: list[list[str]]) -> None:
    written = "".join(lines(["a", "b"], rows))
    read = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert not any(text.startswith(BEGINNINGS) for row in read for text in row)
    assert [[text.removeprefix("'") for text in row] for row in read] == rows
