"""What the index leaves out does not hold: whatever an expression is made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core.matcher_index import Index, prefix_of, values_of
from portal.core.matchers import OPERATORS, Matcher, MatcherError, build, parse

PIECES = st.sampled_from(
    ["a", "b", "ab", "-", "1", " ", "|", "*", "+", "?", ".", "{0}", "{0,2}", "(a|b)", "(?:a)?", "[ab]", r"\.",
     r"\x61", "(?i)", "(?i:a)", "^", "$", "é", ""]
)  # fmt: skip
VALUES = st.text(st.sampled_from("abAB1- .é|"), max_size=5)
NAMES = st.sampled_from(["app", "zone"])


@st.composite
def matcher(draw: st.DrawFn) -> Matcher:
    written = "".join(draw(st.lists(PIECES, max_size=5)))
    try:
        return build(draw(NAMES), draw(st.sampled_from(OPERATORS)), written)
    except MatcherError:
        return build("app", "=~", "ab.*")


@given(st.lists(st.lists(matcher(), max_size=3), max_size=5), st.dictionaries(NAMES, VALUES))
def test_every_list_that_holds_is_a_candidate(
    lists: list[list[Matcher]], labels: dict[str, str]
) -> None:
    holding = [n for n, asked in enumerate(lists) if all(m.matches(labels) for m in asked)]
    candidates = Index(lists).candidates(labels)
    assert set(holding) <= set(candidates)
    assert candidates == sorted(set(candidates))


@pytest.mark.parametrize(
    "written, values, prefix",
    [
        ('app="shop"', {"shop"}, ""),
        ('app=""', set(), ""),
        ('app!="shop"', set(), ""),
        ('app=~"shop|cart-1"', {"shop", "cart-1"}, ""),
        ('app=~"shop"', {"shop"}, "shop"),
        ('app=~"shop-.*"', set(), "shop-"),
        ('app=~"shops?"', set(), "shop"),
        ('app=~"shop+"', set(), "shop"),
        ('app=~"shop{0,1}x"', set(), "sho"),
        ('app=~"shop-.*|cart"', set(), ""),
        ('app=~"shop|"', set(), ""),
        ('app=~"(?i)shop"', set(), ""),
        ('app=~".*"', set(), ""),
        ('app!~"shop.*"', set(), ""),
    ],
)
def test_what_a_matcher_asks_for(written: str, values: set[str], prefix: str) -> None:
    assert (values_of(parse(written)), prefix_of(parse(written))) == (values, prefix)
