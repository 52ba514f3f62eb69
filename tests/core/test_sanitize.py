"""Whatever JSON can say is made storable in PostgreSQL, within bounds."""

import json
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.core import sanitize

ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=200)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ANY_TEXT, inner, max_size=5),
    max_leaves=20,
)
BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.django_db
@BOUNDED
@given(value=ANY_JSON)
def test_every_value_fits_into_jsonb(value: Any) -> None:
    clean = sanitize.json(value, limit=100)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb", [json.dumps(clean)])
        assert cursor.fetchone() is not None


@pytest.mark.django_db
@BOUNDED
@given(value=ANY_TEXT, limit=st.integers(min_value=1, max_value=300))
def test_every_text_fits_into_text_and_the_limit(value: str, limit: int) -> None:
    clean = sanitize.text(value, limit)
    assert len(clean) <= limit
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text", [clean])
        row = cursor.fetchone()
    assert row is not None
    assert row[0] == clean


@given(value=ANY_TEXT)
def test_a_line_has_no_breaks_and_cleaning_twice_changes_nothing(value: str) -> None:
    clean = sanitize.line(value, 300)
    assert len(clean.splitlines()) <= 1
    assert sanitize.line(clean, 300) == clean


@pytest.mark.parametrize(
    "value, expected",
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("line\nand\ttab", "line\nand\ttab"),
        ({"a\x00": {1, 2} - {2}}, {"a\ufffd": [1]}),
        pytest.param(10**5000, "…", id="huge"),
        (True, True),
        ("é😀", "é😀"),
    ],
)
def test_examples(value: Any, expected: Any) -> None:
    assert sanitize.json(value) == expected


def test_depth_is_bounded() -> None:
    value: Any = "core"
    for _ in range(500):
        value = [value]
    clean, depth = sanitize.json(value), 0
    while isinstance(clean, list):
        clean, depth = clean[0], depth + 1
    assert depth == sanitize.MAX_DEPTH
