"""The Link header in every spelling that servers were seen to use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.errors.links import next_query
from tests.payloads import recorded

URL = "https://sentry.io/api/0/organizations/acme/issues/"
SENTRY = (
    f'<{URL}?&cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1",'
    f' <{URL}?limit=100&cursor=0:100:0>; rel="next"; results="{{more}}"; cursor="0:100:0"'
)
HEADERS = {
    "sentry, more": (SENTRY.format(more="true"), "limit=100&cursor=0%3A100%3A0"),
    "sentry, last page": (SENTRY.format(more="false"), None),
    "braces and quotes": (f"{{'{SENTRY.format(more='true')}'}}", "limit=100&cursor=0%3A100%3A0"),
    "only the attribute": ('<https://x/>; rel="next"; results="true"; cursor="c"', "cursor=c"),
    "without results": ("<https://x/?cursor=c>; rel=next", "cursor=c"),
    "another order": ('<https://x/?cursor=c>; results="true"; rel="next"', "cursor=c"),
    "no cursor at all": ('<https://x/?page=2>; rel="next"; results="true"', "page=2"),
    "no query at all": ('<https://x/>; rel="next"; results="true"', None),
    "single quotes": ("<https://x/?cursor=c>; rel='next'; results='true'", "cursor=c"),
    "single quotes, last page": ("<https://x/?cursor=c>; rel='next'; results='false'", None),
    "several relations": ('<https://x/?cursor=c>; rel="last Next"; results="true"', "cursor=c"),
    "numbers": ("<https://x/?cursor=c>; rel=next; results=1", "cursor=c"),
    "another name": ('<https://x/?cursor=c>; rel="nextish"; results="true"', None),
    "only previous": ('<https://x/?cursor=c>; rel="previous"; results="true"', None),
    "comma in the URL": ('<https://x/?q=a,b&cursor=c>; rel="next"; results="true"', "q=a%2Cb&cursor=c"),
    "brackets that do not close": ('<https://[x/?cursor=c>; rel="next"; results="true"', None),
    "empty": ("", None),
    "torn": ('<https://x/?cursor=c>; rel="ne', None),
}  # fmt: skip


@pytest.mark.parametrize("header, query", HEADERS.values(), ids=HEADERS.keys())
def test_next_query(header: str, query: str | None) -> None:
    assert next_query(header) == query


def test_the_header_glitchtip_sent_leads_on() -> None:
    header = recorded.header("sentry/gt-org-issues.headers", "link")
    assert next_query(header) == (
        "cursor=cD0yMDI2LTExLTIzKzA1JTNBNTklM0EzNi45MjQxNjglMkIwMCUzQTAw&limit=25"
    )


@given(st.text(alphabet="<>;,=\"{}' relnextrsultcuo:/?&0", max_size=300))
def test_no_header_breaks_the_parser(header: str) -> None:
    found = next_query(header)
    assert found is None or 0 < len(found) <= 4000
