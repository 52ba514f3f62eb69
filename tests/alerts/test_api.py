"""Alerts and silences at the API's door: what is told of them, found, walked through, and done."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts import episodes, rows
from alerts.models import Alert, Silence, Source
from alerts.payloads import HookAlert
from portal.core.catalogue import Catalogue
from security import tokens
from tests.conftest import Trail
from tests.factories import build_alert, make_alert, make_service, make_upstream, make_user

pytestmark = pytest.mark.django_db
NOW = timezone.now()
# DESIGN: what an alert in JSON has at least.
PROMISED = [
    "id", "fingerprint", "upstream", "alertname", "severity", "service", "state", "labels", "annotations",
    "starts_at", "ends_at", "resolved_after", "resolved_before", "acknowledged_by", "acknowledged_at",
    "assigned_to", "silenced_by", "inhibited_by", "generator_url", "last_seen_at",
]  # fmt: skip


def client_of(*scopes: str, user: User | None = None) -> Client:
    written = tokens.create(user=user or make_user(), name="desk", scopes=scopes)[1]
    return Client(headers={"Authorization": f"Bearer {written}"})


@pytest.fixture
def responder() -> User:
    return make_user(username="ann")


@pytest.fixture
def api(responder: User) -> Client:
    return client_of("read", "alerts:write", user=responder)


def act(api: Client, alert: Alert, verb: str, body: Any = None) -> Any:
    path = f"/api/v1/alerts/{alert.pk}/{verb}/"
    return api.post(path, body or {}, content_type="application/json")


def told(trail: Trail, group: str) -> list[tuple[str, str, str]]:
    return [(e.action, e.actor_name, e.reason) for e in trail() if e.action.startswith(group)]


def test_an_alert_has_every_field_that_was_promised(api: Client) -> None:
    alert = make_alert(service=make_service(slug="shop"), upstream=make_upstream(name="am"))
    (listed,) = api.get("/api/v1/alerts/").json()["results"]
    assert [name for name in PROMISED if name not in listed] == []
    assert (listed["upstream"], listed["service"], listed["state"]) == ("am", "shop", "firing")
    assert listed["starts_at"].endswith("Z")
    detail = api.get(f"/api/v1/alerts/{alert.pk}/").json()
    assert detail["transitions"] == []


def test_what_is_done_is_in_the_episode_its_history_and_the_trail(
    api: Client, trail: Trail
) -> None:
    alert = make_alert()
    done = act(api, alert, "acknowledge", {"text": "mine"}).json()
    assert (done["acknowledged_by"], bool(done["acknowledged_at"])) == ("ann", True)
    assert act(api, alert, "assign", {"user": "ann"}).json()["assigned_to"] == "ann"
    assert act(api, alert, "assign", {"user": None}).json()["assigned_to"] is None
    assert act(api, alert, "comment", {"text": "a disk"}).status_code == 201
    last = act(api, alert, "unacknowledge").json()
    assert last["acknowledged_by"] == ""
    steps = [(step["kind"], step["actor"], step["text"]) for step in last["transitions"]]
    assert steps == [
        ("acknowledged", "ann", "mine"), ("assigned", "ann", ""), ("assigned", "ann", ""),
        ("commented", "ann", "a disk"), ("unacknowledged", "ann", ""),
    ]  # fmt: skip
    assert told(trail, "alert.") == [(f"alert.{kind}", who, text) for kind, who, text in steps]


@pytest.mark.parametrize(
    "verb, body, state, status",
    [
        ("acknowledge", {}, {"acknowledged_at": NOW, "acknowledged_by": "bob"}, 409),
        ("acknowledge", {}, {"state": "resolved"}, 409),
        ("unacknowledge", {}, {}, 409),
        ("assign", {"user": "ann"}, {"state": "resolved"}, 409),
        ("assign", {"user": None}, {}, 409),
        ("assign", {"user": "ghost"}, {}, 400),
        ("assign", {}, {}, 400),
        ("comment", {"text": " "}, {}, 400),
        ("comment", {"text": "x" * 4001}, {}, 400),
        ("silence", {"comment": "work"}, {"state": "resolved"}, 400),
        ("silence", {"duration_seconds": 3600}, {}, 400),
        ("silence", {"comment": "work", "duration_seconds": 91 * 86400}, {}, 400),
        ("silence", {"comment": "work"}, {}, 424),
    ],
)
def test_what_cannot_be_done_is_a_problem_and_changes_nothing(
    api: Client, verb: str, body: Any, state: dict[str, Any], status: int, trail: Trail
) -> None:
    alert = make_alert(**state)
    before = Alert.objects.values().get()
    reply = act(api, alert, verb, body)
    assert (reply.status_code, reply["Content-Type"]) == (status, "application/problem+json")
    assert reply.json()["detail"].endswith((".", "?"))
    assert Alert.objects.values().get() == before
    assert (alert.transitions.count(), Silence.objects.count()) == (0, 0)
    assert told(trail, "alert.") == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["acknowledge", "unacknowledge", "assign", "comment", "silence"])
def test_reading_alone_does_nothing_to_an_alert(verb: str, trail: Trail) -> None:
    alert = make_alert()
    assert act(client_of("read"), alert, verb, {"text": "x", "comment": "x"}).status_code == 403
    assert [entry.action for entry in trail()][-1] == "permission.denied"


@pytest.mark.django_db(transaction=True)
def test_a_silence_that_alertmanager_did_not_take_is_recorded(api: Client, trail: Trail) -> None:
    reply = act(api, make_alert(), "silence", {"comment": "work"})
    assert "Nothing is listening" in reply.json()["detail"]
    ((action, actor, reason),) = told(trail, "silence.")
    assert (action, actor, "Nothing is listening" in reason) == ("silence.failed", "ann", True)


MATCHER = {"name": "alertname", "operator": "=", "value": "HighCPU"}


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"comment": ""}, "comment"),
        ({"matchers": []}, "matchers"),
        ({"matchers": [{"name": "job", "operator": "!=", "value": "x"}]}, "matchers"),
        ({"matchers": [{"name": "job", "operator": "=~", "value": "("}]}, "matchers"),
        ({"ends_at": (NOW - timedelta(hours=1)).isoformat()}, "ends_at"),
        ({"ends_at": (NOW + timedelta(days=91)).isoformat()}, "ends_at"),
        ({"upstream": "nobody"}, "upstream"),
    ],
    ids=["no reason", "not a matcher", "all alerts", "broken regex", "past", "too long", "unknown"],
)
def test_a_silence_that_should_not_be_is_refused_before_anybody_is_asked(
    api: Client, wrong: dict[str, Any], field: str
) -> None:
    make_upstream(name="am")
    body = {"upstream": "am", "matchers": [MATCHER], "comment": "work",
            "ends_at": (NOW + timedelta(hours=1)).isoformat(), **wrong}  # fmt: skip
    reply = api.post("/api/v1/silences/", body, content_type="application/json")
    assert (reply.status_code, field in reply.json()["errors"]) == (400, True), reply.content


def test_a_preview_counts_what_a_silence_would_hit(api: Client) -> None:
    upstream = make_upstream(name="am")
    hit = [make_alert(upstream=upstream).pk for _ in range(2)]
    make_alert(upstream=upstream, alertname="Other")
    make_alert(upstream=upstream, state="resolved")
    make_alert()
    body = {"upstream": "am", "matchers": [MATCHER]}
    found = api.post("/api/v1/silences/preview/", body, content_type="application/json").json()
    assert found["count"] == 2
    assert {alert["id"] for alert in found["alerts"]} == set(hit)


def test_a_preview_counts_also_what_began_before_tens_of_thousands_of_others(
    api: Client, django_assert_max_num_queries: Any
) -> None:
    upstream = make_upstream(name="am")
    hit = make_alert(upstream=upstream, alertname="Old", starts_at=NOW - timedelta(days=9))
    sent = HookAlert("firing", {"alertname": "Other"}, NOW.isoformat(), "")
    other = rows.of_hook(sent, Catalogue.load(), receiver="", ends_at=None)
    others = [replace(other, fingerprint=f"{number:x}") for number in range(20_001)]
    episodes.insert(upstream.pk, others, source=Source.POLL, at=NOW)
    for operator, value, found in (("=~", "Ol.*", 1), ("!=", "Old", 20_001)):
        matcher = {"name": "alertname", "operator": operator, "value": value}
        body = {"upstream": "am", "matchers": [matcher]}
        with django_assert_max_num_queries(12):
            reply = api.post(
                "/api/v1/silences/preview/", body, content_type="application/json"
            ).json()
        assert (reply["count"], len(reply["alerts"])) == (found, min(found, 100))
        assert (hit.pk in {alert["id"] for alert in reply["alerts"]}) is (found == 1)


@pytest.fixture
def various() -> dict[int, str]:
    """Make alerts that differ in everything a filter asks for; return their names by number."""
    shop, am = make_service(slug="shop"), make_upstream(name="am")
    ago = {n: NOW - timedelta(hours=n) for n in (1, 2, 5, 9)}
    made = [
        make_alert(alertname="Disk", severity="critical", service=shop, upstream=am, starts_at=ago[1],
                   labels={"alertname": "Disk", "instance": "db1"}),
        make_alert(alertname="Heat", severity="warning", starts_at=ago[2], state="suppressed",
                   annotations={"summary": "It is hot"}, acknowledged_at=NOW, acknowledged_by="ann"),
        make_alert(alertname="Past", severity="info", starts_at=ago[9], state="resolved", ends_at=ago[5],
                   assigned_to=make_user(username="bob"), fingerprint="abc"),
    ]  # fmt: skip
    return {alert.pk: alert.alertname for alert in made}


def at(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    "query, names",
    [
        ("", "Disk Heat Past"),
        ("state=firing", "Disk"),
        ("state=suppressed&state=resolved", "Heat Past"),
        ("state=suppressed,%20resolved", "Heat Past"),
        ("severity=Critical,%20info", "Disk Past"),
        ("severity=critical&severity=info", "Disk Past"),
        ("service=shop", "Disk"),
        ("upstream=am", "Disk"),
        ("alertname=Heat", "Heat"),
        ("fingerprint=abc", "Past"),
        ("assigned_to=bob", "Past"),
        ("acknowledged=true", "Heat"),
        ("acknowledged=false", "Disk Past"),
        ("q=hot", "Heat"),
        ("q=db1", "Disk"),
        ('label=instance="db1"', "Disk"),
        ("since=@4", "Disk Heat"),
        ("until=@4", "Past"),
        ("since=@6&until=@1.5", "Heat Past"),
        ("ordering=starts_at", "Past Heat Disk"),
        ("unknown=1", "Disk Heat Past"),
    ],
    ids=range(21),  # the queries hold times, which each process of pytest-xdist reads for itself
)
def test_a_filter_finds_what_it_says(
    api: Client, various: dict[int, str], query: str, names: str
) -> None:
    # The moments come late: tests that are named after the clock are other ones in each worker.
    query = re.sub(r"@([\d.]+)", lambda hours: at(float(hours[1])), query)
    rows = api.get(f"/api/v1/alerts/?{query}").json()["results"]
    assert [various[row["id"]] for row in rows] == names.split()


@pytest.mark.parametrize(
    "query, field",
    [
        ("state=open", "state"),
        ("since=yesterday", "since"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("ordering=severity", "ordering"),
        ("state=firing,open", "state"),
        ("acknowledged=maybe", "acknowledged"),
        ("label=instance", "label"),
        ('label=instance!="db1"', "label"),
        ("page_size=0", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=many", "page_size"),
        ("page_size=²", "page_size"),
        ("format=xml", "format"),
    ],
)
def test_a_filter_that_cannot_be_read_is_an_error(api: Client, query: str, field: str) -> None:
    reply = api.get(f"/api/v1/alerts/?{query}")
    assert (reply.status_code, field in reply.json()["errors"]) == (400, True)


def many(count: int) -> list[Alert]:
    """Make a mass alert: all of the same moment, which a cursor over the time alone would lose."""
    upstream = make_upstream()
    return Alert.objects.bulk_create(build_alert(upstream, starts_at=NOW) for _ in range(count))


def test_following_next_shows_each_alert_once(api: Client) -> None:
    made = [alert.pk for alert in many(25)]
    seen: list[int] = []
    address = "/api/v1/alerts/?page_size=10"
    for _ in range(4):
        page = api.get(address).json()
        seen += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        address = page["next"]
    assert seen == sorted(made, reverse=True)
    for expected in (seen[10:20], seen[:10]):
        page = api.get(page["previous"]).json()
        assert [row["id"] for row in page["results"]] == expected
    assert page["previous"] is None


@pytest.mark.parametrize("ordering", ["-starts_at", "starts_at", "-id", "starts_at,-id"])
def test_every_ordering_is_walked_in_its_order(api: Client, ordering: str) -> None:
    upstream = make_upstream()
    for number in range(11):
        make_alert(upstream=upstream, starts_at=NOW - timedelta(hours=number * 7 % 4))
    whole = api.get(f"/api/v1/alerts/?ordering={ordering}").json()["results"]
    seen, page = [], api.get(f"/api/v1/alerts/?ordering={ordering}&page_size=3").json()
    while page["next"]:
        seen += page["results"]
        page = api.get(page["next"]).json()
    assert [row["id"] for row in seen + page["results"]] == [row["id"] for row in whole]
    times = [row["starts_at"] for row in whole]
    assert times == sorted(times, reverse=ordering == "-starts_at") or ordering == "-id"


def test_what_comes_and_goes_meanwhile_makes_nobody_skip_or_repeat(api: Client) -> None:
    made = [alert.pk for alert in many(25)][::-1]
    page = api.get("/api/v1/alerts/?state=firing&page_size=10").json()
    seen = [row["id"] for row in page["results"]]
    Alert.objects.filter(pk__in=made[:5]).update(state="resolved", ends_at=NOW)
    many(3)
    while page["next"]:
        page = api.get(page["next"]).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == made


def test_a_page_that_has_emptied_leads_back_to_the_end_of_the_list(api: Client) -> None:
    made = [alert.pk for alert in many(4)][::-1]
    following = api.get("/api/v1/alerts/?page_size=2").json()["next"]
    Alert.objects.filter(pk__in=made[2:]).delete()
    page = api.get(following).json()
    assert (page["results"], page["next"]) == ([], None)
    back = api.get(page["previous"]).json()
    assert [row["id"] for row in back["results"]] == made[:2]


def test_a_page_has_at_most_500_and_costs_the_same_at_any_length(api: Client) -> None:
    costs = []
    api.get("/api/v1/alerts/")  # the first request of a token also notes its use
    for count in (5, 500):
        many(count)
        with CaptureQueriesContext(connection) as queries:
            rows = api.get("/api/v1/alerts/?page_size=5000").json()["results"]
        costs.append(len(queries))
    assert len(rows) == 500
    assert costs[0] == costs[1]


def test_csv_streams_the_whole_filtered_list_and_the_export_is_recorded(
    api: Client, trail: Trail
) -> None:
    many(60)
    make_alert(alertname='=HYPERLINK("http://evil.example")')
    make_alert(alertname="Other", state="resolved")
    reply = api.get("/api/v1/alerts/?format=csv&state=firing&page_size=10")
    assert reply.streaming
    head, *rows = reply.getvalue().decode().splitlines()
    assert [name for name in PROMISED if f'"{name}"' not in head] == []
    assert len(rows) == 61
    assert any("\"'=HYPERLINK" in row for row in rows)
    (entry,) = (entry for entry in trail() if entry.action == "data.exported")
    assert (entry.target_type, entry.data["filters"]) == ("api.alert", {"state": "firing"})
