"""Pairs of field and value: what is one, and what is none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core import log_fields
from portal.core.log_fields import LogFieldError


@pytest.mark.parametrize(
    "written, pair",
    [
        ("service.name=shop-api", ("service.name", "shop-api")),
        (' service.name = "shop api" ', ("service.name", "shop api")),
        ("labels.app.kubernetes.io/name=shop", ("labels.app.kubernetes.io/name", "shop")),
        ("kubernetes.pod=a=b", ("kubernetes.pod", "a=b")),
    ],
)
def test_a_pair_is_read(written: str, pair: tuple[str, str]) -> None:
    assert log_fields.parse(written) == pair


@pytest.mark.parametrize(
    "written",
    ["shop", "=shop", "service.name=", 'a=""', "a b=c", "a=b\x00", "a=b\nc", "ä=b", "1a=b", f"a={'x' * 201}",
     f"{'a' * 201}=x", "(a)=b", "a:b=c", "*=x"],
)  # fmt: skip
def test_what_is_no_pair_is_quoted_with_the_form_it_should_have(written: str) -> None:
    with pytest.raises(
        LogFieldError, match=r"Write field=value, for example service\.name=shop-api"
    ):
        log_fields.parse(written)


def test_pairs_of_a_field_are_alternatives_and_what_no_longer_parses_is_left_out() -> None:
    pairs = ["a=1", "b=2", "a=3", "a=1", "nonsense"]
    assert log_fields.grouped(pairs) == (("a", ("1", "3")), ("b", ("2",)))


@given(st.text(max_size=300))
def test_no_text_fails_otherwise(written: str) -> None:
    with contextlib.suppress(LogFieldError):
        name, value = log_fields.parse(written)
        assert name.isascii()
        assert value.isprintable()
