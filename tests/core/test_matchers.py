"""Matchers behave as Alertmanager's do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core.matchers import OPERATORS, Matcher, MatcherError, all_match, build, parse

LABELS = {"job": "api", "severity": "critical", "path": "a\nb"}


@pytest.mark.parametrize(
    "written, holds",
    [
        ('job="api"', True),
        ("job=api", True),
        ('job = "api"', True),
        ('job="ap"', False),
        ('job!="api"', False),
        ('job!="web"', True),
        ('severity=~"critical|page"', True),
        ('severity=~"crit"', False),
        ('severity=~"crit.*"', True),
        ('severity!~"warning|info"', True),
        ('severity!~".*"', False),
        ('absent=""', True),
        ('absent!=""', False),
        ('absent=~".*"', True),
        ('absent=~".+"', False),
        ('absent!="x"', True),
        ('path="a\\nb"', True),
        ('path=~"a.b"', True),
        ('job=~""', False),
    ],
)
def test_matching(written: str, holds: bool) -> None:
    assert parse(written).matches(LABELS) is holds


@pytest.mark.parametrize(
    "written",
    ["", "job", "=x", '1job="a"', 'job=="a"', 'job="a', 'job="a" or 1', 'job=~"("', "a b=c"],
)
def test_what_is_no_matcher_is_refused_with_its_text(written: str) -> None:
    with pytest.raises(MatcherError) as caught:
        parse(written)
    assert str(caught.value).endswith(".")


def test_no_matchers_match_nothing() -> None:
    assert all_match([], LABELS) is False
    assert all_match([parse('job="api"'), parse('severity="critical"')], LABELS) is True
    assert all_match([parse('job="api"'), parse('severity="info"')], LABELS) is False


def test_an_endless_expression_is_refused() -> None:
    with pytest.raises(MatcherError, match="1000"):
        build("job", "=~", "a" * 1001)


@given(
    name=st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True),
    operator=st.sampled_from(OPERATORS[2:]),
    value=st.text(max_size=50),
)
def test_what_is_written_is_read_back(name: str, operator: str, value: str) -> None:
    matcher = Matcher(name, operator, value)
    assert parse(str(matcher)) == matcher
