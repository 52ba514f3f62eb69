"""Each door writes what was done into the trail, with who did it and to what."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts.services import raise_alert
from audit.models import AuditEntry
from security import tokens
from tests.factories import make_alert, make_channel, make_flag, make_service, make_user

pytestmark = pytest.mark.django_db
SCOPES = ("admin",)


@pytest.fixture
def ann() -> User:
    return make_user(username="ann")


@pytest.fixture
def api(ann: User) -> Client:
    written = tokens.create(user=ann, name="trail", scopes=SCOPES)[1]
    return Client(headers={"Authorization": f"Bearer {written}"})


def said(action: str) -> tuple[str, str]:
    """Return who did it and to what."""
    entry = AuditEntry.objects.filter(action=action).latest("id")
    return entry.actor_name, entry.target_type


def ask(api: Client, method: str, path: str, body: Any = None) -> Any:
    answer = getattr(api, method)(f"/api/v1/{path}", body or {}, content_type="application/json")
    assert answer.status_code < 300, answer.content
    return answer.json() if answer.content else None


def test_blocks_and_the_allow_list(api: Client) -> None:
    block = {"kind": "address", "value": "192.0.2.9", "reason": "it scans", "duration_seconds": 600}
    made = ask(api, "post", "blocks/", block)
    assert said("block.added") == ("ann", "security.block")
    ask(api, "post", f"blocks/{made['id']}/lift/", {"reason": "it was ours"})
    assert said("block.removed") == ("ann", "security.block")
    kept = ask(
        api, "post", "allow-list/", {"kind": "address", "value": "192.0.2.8", "reason": "ours"}
    )
    assert said("allow.added") == ("ann", "security.allowentry")
    ask(api, "delete", f"allow-list/{kept['id']}/")
    assert said("allow.removed") == ("ann", "security.allowentry")


def test_flags(api: Client, ann: User) -> None:
    for verb, body in (("assign", {"user": "ann"}), ("dismiss", {"reason": "a drill"})):
        ask(api, "post", f"flags/{make_flag().pk}/{verb}/", body)
    ask(api, "post", f"flags/{make_flag().pk}/confirm/", {"reason": "seen"})
    for verb in ("assigned", "dismissed", "confirmed"):
        assert said(f"detection.{verb}") == ("ann", "security.flag")


def test_alerts(api: Client) -> None:
    alert = make_alert(service=make_service(slug="shop"))
    for verb, body in (
        ("acknowledge", {}),
        ("unacknowledge", {}),
        ("assign", {"user": "ann"}),
        ("comment", {"text": "a disk"}),
    ):
        ask(api, "post", f"alerts/{alert.pk}/{verb}/", body)
    for action in ("acknowledged", "unacknowledged", "assigned", "commented"):
        assert said(f"alert.{action}") == ("ann", "alerts.alert")
    assert {
        e.data.get("service") for e in AuditEntry.objects.filter(action__startswith="alert.")
    } == {"shop"}


def test_silences_of_the_portals_own_alerts(api: Client) -> None:
    own = raise_alert(alertname="X", labels={}).upstream.name
    ends = timezone.now() + timedelta(hours=1)
    matcher = {"name": "alertname", "operator": "=", "value": "X"}
    body = {"matchers": [matcher], "ends_at": ends.isoformat(), "comment": "a move"}
    made = ask(api, "post", "silences/", {**body, "upstream": own})
    assert said("silence.created") == ("ann", "alerts.silence")
    ask(api, "put", f"silences/{made['id']}/", {**body, "comment": "a longer move"})
    assert said("silence.changed") == ("ann", "alerts.silence")
    ask(api, "post", f"silences/{made['id']}/expire/", {"text": "moved"})
    assert said("silence.expired") == ("ann", "alerts.silence")


def test_filters_and_exports_of_the_trail(api: Client) -> None:
    query = {"name": "refused", "query": {"outcome": "failure"}, "shared": False}
    made = ask(api, "post", "audit/filters/", query)
    ask(api, "put", f"audit/filters/{made['id']}/", {**query, "shared": True})
    ask(api, "delete", f"audit/filters/{made['id']}/")
    for verb in ("created", "changed", "deleted"):
        assert said(f"audit.filter_{verb}") == ("ann", "audit.savedfilter")
    export = ask(api, "post", "audit/exports/", {"query": {}})
    ask(api, "post", f"audit/exports/{export['id']}/cancel/")
    assert said("audit.export_cancelled") == ("ann", "audit.exportrecord")


def test_what_is_configured(api: Client) -> None:
    make_channel(name="mail")
    for path, body, kind in (
        ("services/", {"slug": "till", "name": "Till"}, "core.service"),
        ("routes/", {"name": "all", "matchers": [], "channels": ["mail"]}, "alerts.route"),
        (
            "panels/",
            {"slug": "up", "title": "Up", "promql": "up"},
            "monitoring.panel",
        ),
    ):
        made = ask(api, "post", path, body)
        assert said("object.created") == ("ann", kind), path
        ask(api, "delete", f"{path}{made.get('slug') if path == 'services/' else made['id']}/")
        assert said("object.deleted") == ("ann", kind), path
