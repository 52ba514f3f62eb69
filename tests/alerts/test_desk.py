"""The alert desk in the admin: its filters, its actions on many alerts, and the page of one."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts import services
from alerts.models import Alert, Silence, Transition
from audit.models import AuditEntry
from security import roles
from tests.conftest import Trail
from tests.factories import (
    make_alert,
    make_service,
    make_silence,
    make_transition,
    make_upstream,
    make_user,
    sign_in,
)

pytestmark = pytest.mark.django_db
LIST = "/admin/alerts/alert/"
NOW = timezone.now()


@pytest.fixture
def responder(client: Client) -> User:
    return sign_in(client, make_user(username="ann"))


def listed(client: Client, query: str) -> list[str]:
    """Return the names of the alerts that the list shows."""
    page = client.get(f"{LIST}?{query}")
    assert page.status_code == 200
    return re.findall(r'change/[^"]*"[^>]*>(\w+)<br>', page.content.decode())


def said(reply: Any) -> str:
    return html.unescape(reply.content.decode())


@pytest.fixture
def various(responder: User) -> None:
    shop = make_service(slug="shop")
    make_alert(
        alertname="Disk", severity="critical", service=shop, starts_at=NOW - timedelta(days=2)
    )
    make_alert(alertname="Heat", severity="warning", state="suppressed", assigned_to=responder,
               acknowledged_at=NOW, acknowledged_by="ann", starts_at=NOW - timedelta(minutes=9))  # fmt: skip
    make_alert(alertname="Past", severity="page", state="resolved",
               starts_at=NOW - timedelta(days=9), ends_at=NOW - timedelta(days=3))  # fmt: skip


@pytest.mark.parametrize(
    "query, names",
    [
        ("", "Heat Disk"),
        ("state=all", "Heat Disk Past"),
        ("state=firing", "Disk"),
        ("state=suppressed", "Heat"),
        ("state=resolved", "Past"),
        ("severity=critical", "Disk"),
        ("state=all&severity=other", "Past"),
        ("service=shop", "Disk"),
        ("service=-", "Heat"),
        ("state=all&time=24h", "Heat Disk"),
        ("state=all&time=7d", "Heat Disk Past"),
        ("attention=mine", "Heat"),
        ("attention=nobody", "Disk"),
        ("attention=acknowledged", "Heat"),
        ("q=dis", "Disk"),
        ("severity=nonsense", ""),
    ],
)
@pytest.mark.usefixtures("various")
def test_a_filter_shows_what_it_says(client: Client, query: str, names: str) -> None:
    assert listed(client, query) == names.split()


@pytest.mark.parametrize("name", ["state", "time", "attention"])
def test_a_choice_that_there_is_not_is_told(client: Client, responder: User, name: str) -> None:
    reply = client.get(f"{LIST}?{name}=nonsense", follow=True)
    assert "is invalid, so the list is shown without filters" in said(reply)


ACTIONS = {
    "acknowledge": ("1 alert acknowledged, 1 already acknowledged or resolved.", "acknowledged"),
    "assign_to_me": ("1 alert assigned to you, 1 already assigned or resolved.", "assigned"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_says_what_it_changed_and_why_it_left_others(
    client: Client, responder: User, action: str, trail: Trail
) -> None:
    free, over = make_alert(), make_alert(state="resolved")
    data = {"action": action, "_selected_action": [free.pk, over.pk]}
    sentence, kind = ACTIONS[action]
    assert sentence in said(client.post(f"{LIST}?state=all", data, follow=True))
    assert [(t.alert_id, t.kind, t.actor) for t in free.transitions.all()] == [
        (free.pk, kind, "ann")
    ]
    assert over.transitions.count() == 0
    entries = [e for e in trail() if e.action == f"alert.{kind}"]
    assert [(e.actor_name, e.target_id) for e in entries] == [("ann", str(free.pk))]


@pytest.mark.parametrize("act", ["acknowledge", "comment", "assign"])
def test_many_alerts_cost_as_many_statements_as_one(act: str) -> None:
    service, user = make_service(), make_user()
    facts: dict[str, Any] = {"actor": user, "text": "seen"} | (
        {"to": user} if act == "assign" else {}
    )

    def statements(count: int) -> int:
        numbers = [make_alert(service=service).pk for _ in range(count)]
        alerts = list(Alert.objects.filter(pk__in=numbers))
        with CaptureQueriesContext(connection) as asked:
            assert getattr(services, act)(alerts, **facts).changed == count
        return len(asked)

    assert statements(1) == statements(30)
    entries = AuditEntry.objects.filter(action__startswith="alert.")
    assert entries.count() == Transition.objects.count() == 31
    assert {entry.data["service"] for entry in entries} == {service.slug}


def test_an_acknowledgement_is_withdrawn(client: Client, responder: User) -> None:
    alert = make_alert(acknowledged_at=NOW, acknowledged_by="bob")
    data = {"action": "unacknowledge", "_selected_action": [alert.pk]}
    client.post(LIST, data)
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.acknowledged_at) == ("", None)
    assert [t.kind for t in alert.transitions.all()] == ["unacknowledged"]


def test_the_page_of_an_alert_shows_all_that_is_known(client: Client, responder: User) -> None:
    service = make_service(slug="shop", runbook_url="https://runbooks.example/shop")
    alert = make_alert(
        service=service,
        labels={"alertname": "Disk", "zone": "north"},
        annotations={"summary": "Full", "hint": "Look at the logs"},
        generator_url="https://prometheus.example/graph?g0.expr=up",
    )
    make_transition(alert, "commented", actor="bob", text="I am on it")
    page = said(client.get(alert.get_absolute_url()))
    for words in ("zone", "north", "hint", "Look at the logs", "I am on it", "by bob"):
        assert words in page
    for link in ("https://prometheus.example/graph?g0.expr=up", "https://runbooks.example/shop"):
        assert f'href="{link}"' in page


def test_a_link_of_an_upstream_that_is_no_web_address_is_no_link(
    client: Client, responder: User
) -> None:
    hostile = "javascript:alert(1)"
    alert = make_alert(
        generator_url=hostile, annotations={"runbook_url": hostile, "summary": "<script>x</script>"}
    )
    page = client.get(alert.get_absolute_url()).content.decode()
    assert f'href="{hostile}"' not in page
    assert "<script>x" not in page


@pytest.mark.parametrize(
    "verb, data, kind",
    [
        ("acknowledge", {}, "acknowledged"),
        ("assign", {"user": ""}, None),
        ("comment", {"text": "seen"}, "commented"),
        ("comment", {"text": ""}, None),
    ],
)
def test_what_is_done_on_its_page_leads_back_with_a_sentence(
    client: Client, responder: User, verb: str, data: dict[str, str], kind: str | None
) -> None:
    alert = make_alert()
    assert client.get(f"{LIST}{alert.pk}/{verb}/").status_code == 405
    assert alert.transitions.count() == 0  # a link does nothing
    reply = client.post(f"{LIST}{alert.pk}/{verb}/", data, follow=True)
    assert reply.redirect_chain == [(alert.get_absolute_url(), 302)]
    assert [t.kind for t in alert.transitions.all()] == ([kind] if kind else [])
    assert len(list(reply.context["messages"])) == 1


def test_a_silence_is_shown_before_it_is_made_and_a_failure_keeps_the_form(
    client: Client, responder: User
) -> None:
    upstream = make_upstream(name="am")
    alert = make_alert(upstream=upstream, labels={"alertname": "Disk", "replica": "a", "zone": "n"})
    make_alert(upstream=upstream, labels={"alertname": "Disk", "zone": "n"})
    url = f"{LIST}{alert.pk}/silence/"
    page = client.get(url)
    assert page.context["form"].initial["matchers"] == 'alertname="Disk"\nzone="n"'
    assert page.context["hit_count"] == 2
    data = {"matchers": 'zone="s"', "duration": "2h", "comment": "work"}
    assert client.post(url, {**data, "preview": "1"}).context["hit_count"] == 0
    unreasoned = client.post(url, {**data, "comment": "", "preview": "1"})
    assert (unreasoned.context["hit_count"], unreasoned.context["form"].errors) == (0, {})
    wrong = client.post(url, {**data, "matchers": "zone"})
    assert "Correct the matchers" in said(wrong)
    assert wrong.context["form"]["matchers"].value() == "zone"
    assert "No silence was created. Nothing is listening" in said(client.post(url, data))
    assert "is required" in said(client.post(url, {**data, "comment": ""}))
    assert Silence.objects.count() == 0


@pytest.mark.parametrize("role, status", [("viewer", 403), ("responder", 302)])
def test_who_may_only_look_cannot_act(client: Client, role: str, status: int) -> None:
    assert role in roles.ROLES
    user = make_user(is_superuser=False)
    user.groups.add(Group.objects.get(name=role))
    sign_in(client, user)
    alert = make_alert()
    assert client.get(alert.get_absolute_url()).status_code == 200
    assert client.post(f"{LIST}{alert.pk}/acknowledge/").status_code == status
    alert.refresh_from_db()
    assert bool(alert.acknowledged_at) is (status == 302)


def test_silences_are_listed_until_they_end(client: Client, responder: User) -> None:
    make_silence(comment="Running")
    make_silence(comment="Ended", ends_at=NOW - timedelta(minutes=1))
    now, ended = (
        said(client.get(f"/admin/alerts/silence/?{q}")) for q in ("state=", "state=expired")
    )
    assert ("Running" in now, "Ended" in now) == (True, False)
    assert ("Running" in ended, "Ended" in ended) == (False, True)


def test_the_list_costs_the_same_for_few_and_many(client: Client, responder: User) -> None:
    costs = []
    for _ in range(2):
        for _number in range(15):
            make_alert(service=make_service(), assigned_to=responder)
        client.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"{LIST}?state=all").status_code == 200
        costs.append(len(queries))
    assert Alert.objects.count() == 30
    assert costs[0] == costs[1]
