"""Go encodes a nil map or slice as null: such a member is absent, and the item is kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts import payloads
from tests.fakes import stamp, wire_alert


@pytest.mark.parametrize(
    "name", ["annotations", "receivers", "generatorURL", "endsAt", "updatedAt"]
)
def test_a_member_of_a_listed_alert_that_is_null_is_absent(name: str) -> None:
    sent = wire_alert(1)
    without = {key: value for key, value in sent.items() if key != name}
    found, bad = payloads.listed_alerts(json.dumps([{**sent, name: None}, wire_alert(2)]).encode())
    assert (len(found), bad) == (2, 0)
    assert payloads.listed_alerts(json.dumps([without]).encode()) == (found[:1], 0)


@pytest.mark.parametrize("name", ["silencedBy", "inhibitedBy"])
def test_a_list_in_the_status_that_is_null_is_empty(name: str) -> None:
    status = {"state": "suppressed", "silencedBy": ["a"], "inhibitedBy": ["b"], name: None}
    (alert,), bad = payloads.listed_alerts(json.dumps([wire_alert(1, status=status)]).encode())
    assert (bad, getattr(alert.status, name), alert.status.state) == (0, (), "suppressed")


@pytest.mark.parametrize("name", ["labels", "fingerprint", "startsAt"])
def test_an_alert_whose_identity_is_null_is_unreadable(name: str) -> None:
    body = json.dumps([{**wire_alert(1), name: None}, wire_alert(2)]).encode()
    found, bad = payloads.listed_alerts(body)
    assert (len(found), bad) == (1, 1)


@pytest.mark.parametrize("item", [None, 1, [None], "text"])
def test_an_item_that_is_no_object_is_unreadable(item: Any) -> None:
    assert payloads.listed_alerts(json.dumps([item]).encode()) == ([], 1)


def test_a_webhook_and_a_silence_may_hold_nulls_as_well() -> None:
    hook = {**wire_alert(1), "status": "firing", "annotations": None}
    (alert,), bad = payloads.hook_alerts(json.dumps({"alerts": [hook]}).encode())
    assert (alert.annotations, bad) == ({}, 0)
    now = stamp(datetime.now(UTC))
    sent = {"id": "a", "startsAt": now, "endsAt": now, "updatedAt": now, "createdBy": None}
    (silence,), bad = payloads.listed_silences(json.dumps([sent]).encode())
    assert (silence.createdBy, bad) == ("", 0)
