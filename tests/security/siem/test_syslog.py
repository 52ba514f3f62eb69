"""RFC 5424 messages, their framing, and the two bodies: tables and invariants."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.siem import bodies, syslog

AT = datetime(2026, 1, 31, 9, 0, 0, 123456, tzinfo=UTC)
DOCUMENT = {"@timestamp": "2026-01-31T09:00:00.123456Z", "event.action": "auth.login_failed", "event.severity": 3,
            "user.name": "a=b|c\\d\nline", "source.ip": "192.0.2.7", "portal.data": {"x": "y" * 9000}}  # fmt: skip


def made(**over: Any) -> bytes:
    facts: dict[str, Any] = {
        "severity": 3, "at": AT, "host": "portal", "app": "devops-portal", "process": "", "message_id": "auth.login",
        "data": {"meta": {"sequenceId": "7"}}, "body": "{}", "limit": 8192, **over,
    }  # fmt: skip
    return syslog.message(**facts)


def test_a_message_has_the_fields_of_the_rfc_in_order() -> None:
    wanted = b'<108>1 2026-01-31T09:00:00.123456Z portal devops-portal - auth.login [meta sequenceId="7"] {}'
    assert made() == wanted
    assert syslog.frame(made()) == b"%d " % len(wanted) + wanted


@pytest.mark.parametrize(
    "ours, theirs", [(1, 110), (2, 109), (3, 108), (4, 107), (5, 106), (6, 105), (9, 110)]
)
def test_severities_become_those_of_syslog_in_the_audit_facility(ours: int, theirs: int) -> None:
    assert made(severity=ours).startswith(b"<%d>1 " % theirs)


def test_what_would_break_a_header_or_an_element_is_escaped() -> None:
    content = made(host="a b\nc é", message_id="x" * 99, data={"m": {"k": '"]\\'}}).decode()
    assert " a_b_c__ " in content
    assert f" {'x' * 32} " in content
    assert r'[m k="\"\]\\"]' in content


@given(st.text(max_size=400), st.integers(100, 600))
def test_a_message_never_exceeds_its_limit_and_stays_utf8(body: str, limit: int) -> None:
    content = made(body=body, limit=limit)
    assert len(content) <= max(limit, len(made(body="")))
    content.decode()
    length, _, rest = syslog.frame(content).partition(b" ")
    assert int(length) == len(rest)


def test_a_long_document_loses_what_is_dispensable_and_says_so() -> None:
    kept = json.loads(bodies.ecs(DOCUMENT, 2000))
    assert kept["portal.truncated"] is True
    assert "portal.data" not in kept
    assert kept["user.name"] == DOCUMENT["user.name"]
    assert json.loads(bodies.ecs(DOCUMENT, 20000)) == DOCUMENT


def test_cef_escapes_what_separates_its_fields() -> None:
    event = bodies.cef({**DOCUMENT, "event.action": "a|b\\c"}, version="1")
    assert event.startswith("CEF:0|DevOps Portal|devops-portal|1|a\\|b\\\\c|a\\|b\\\\c|5|end=")
    assert "suser=a\\=b|c\\\\d\\nline" in event
    assert "src=192.0.2.7" in event
    assert "\n" not in event
    coded = bodies.cef({**DOCUMENT, "event.code": "1002"}, version="1")
    assert "cs6Label=eventCode cs6=1002" in coded
    six = bodies.cef({**DOCUMENT, "source.ip": "2001:db8::1"}, version="1")
    assert "c6a2=2001:db8::1" in six
    assert " src=" not in six
