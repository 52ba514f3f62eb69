"""Half a surrogate pair in one alert spoils neither the batch nor the alert."""

import json

import pytest

from alerts import payloads
from tests.fakes import wire_alert


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("\\ud800", "\ufffd"),
        ("\\uDFFFx", "\ufffdx"),
        ("\\ud83d\\ude00", "\U0001f600"),
        ("\\ud800\\ud83d\\ude00\\ud800", "\ufffd\U0001f600\ufffd"),
        ("\\\\ud800 \\ud800", "\\ud800 \ufffd"),
    ],
)
def test_half_a_pair_becomes_a_replacement_character(written: str, read: str) -> None:
    body = json.dumps([wire_alert(1, annotations={"a": "@"}), wire_alert(2)]).replace("@", written)
    alerts, bad = payloads.listed_alerts(body.encode())
    assert ([alert.annotations.get("a") for alert in alerts], bad) == ([read, None], 0)
    hook = body.replace('"status": {', '"status": "firing", "x": {')
    found, bad = payloads.hook_alerts(b'{"alerts": %b}' % hook.encode())
    assert ([alert.annotations.get("a") for alert in found], bad) == ([read, None], 0)
