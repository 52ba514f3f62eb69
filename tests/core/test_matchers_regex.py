"""Regular expressions of matchers: RE2 as in Alertmanager, whatever the pattern."""

import time

import pytest

from portal.core.matchers import MatcherError, build


@pytest.mark.parametrize(
    ("pattern", "value", "hit"),
    [
        ("critical|page", "page", True),
        ("critical|page", "pager", False),
        ("a.c", "a\nc", True),
        ("(?i)EU-.*", "eu-1", True),
        ("", "", True),
        ("a$|b", "b", True),
    ],
)
def test_a_pattern_matches_the_whole_value(pattern: str, value: str, hit: bool) -> None:
    assert build("l", "=~", pattern).matches({"l": value}) is hit
    assert build("l", "!~", pattern).matches({"l": value}) is not hit


@pytest.mark.parametrize("pattern", ["(a+)+b", "(.*)*(.*)*(.*)*x", "(a|aa)+$b"])
def test_no_pattern_takes_exponential_time(pattern: str) -> None:
    began = time.monotonic()
    assert not build("l", "=~", pattern).matches({"l": "a" * 2000})
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("pattern", ["(", "(?=a)", "a{9999}", "(?P<a", "\\1"])
def test_what_alertmanager_would_refuse_is_refused_in_words(pattern: str) -> None:
    with pytest.raises(MatcherError, match=r"regular expression of l is invalid: [^b]"):
        build("l", "=~", pattern)
