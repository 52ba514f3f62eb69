"""How alerts behave: counts and means over episodes, by each grouping, by API and on the page."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts import analytics
from alerts.models import Alert
from portal.core.models import Upstream
from security import tokens
from tests.conftest import Trail
from tests.factories import make_alert, make_service, make_upstream, make_user, sign_in

pytestmark = pytest.mark.django_db
URL, PAGE = "/api/v1/alerts/analytics/", "/admin/alert-analytics/"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def episode(name: str, ago: timedelta, lasted: timedelta | None, **over: Any) -> Alert:
    """Make an episode of the rule `name` that began so long ago; without an end it is open."""
    begun = timezone.now() - ago
    ended = {"state": "resolved", "ends_at": begun + lasted} if lasted is not None else {}
    facts = {
        "alertname": name,
        "fingerprint": name,
        "labels": {"alertname": name},
        "starts_at": begun,
    }
    upstream = Upstream.objects.filter(name="am").first() or make_upstream(name="am")
    return make_alert(**{"upstream": upstream, **facts, **ended, **over})


def fill() -> None:
    shop = make_service(slug="shop", team="tills", runbook_url="https://runbooks.example/shop")
    seen = timezone.now() - 3 * HOUR + 6 * MINUTE
    episode("Disk", 3 * HOUR, 10 * MINUTE, acknowledged_at=seen)
    episode("Disk", 2 * HOUR, 30 * MINUTE)  # 50 minutes after the end of the one before
    episode("Disk", MINUTE, None)  # 89 minutes after
    episode("Heat", HOUR, 20 * MINUTE, service=shop, severity="critical")
    episode("Heat", 40 * DAY, HOUR, service=shop)  # before any window but the longest


@pytest.fixture
def api() -> Client:
    written = tokens.create(user=make_user(), name="t", scopes=["read"])[1]
    return Client(headers={"Authorization": f"Bearer {written}"})


def groups(client: Client, **query: str) -> dict[str, dict[str, Any]]:
    answer = client.get(URL, query)
    assert answer.status_code == 200, answer.content
    return {group["name"]: group for group in answer.json()["groups"]}


def test_each_rule_has_its_counts_and_means(api: Client) -> None:
    fill()
    found = groups(api)
    disk = {name: value for name, value in found["Disk"].items() if name != "last_at"}
    assert disk == {
        "name": "Disk", "episodes": 3, "open": 1, "never_acknowledged": 1, "flapping": 1, "without_runbook": 3,
        "without_owner": 3, "mtta_seconds": 360.0, "mttr_seconds": 1200.0,
    }  # fmt: skip
    assert list(found) == ["Disk", "Heat"]
    heat = found["Heat"]
    assert (heat["episodes"], heat["mtta_seconds"], heat["without_runbook"]) == (1, None, 0)
    total = api.get(URL).json()["total"]
    assert (total["episodes"], total["mttr_seconds"], total["flapping"]) == (4, 1200.0, 1)


@pytest.mark.parametrize(
    ("query", "counts"),
    [
        ({"group_by": "service"}, {"": 3, "shop": 1}),
        ({"group_by": "team"}, {"": 3, "tills": 1}),
        ({"group_by": "severity"}, {"warning": 3, "critical": 1}),
        ({"window": "90d"}, {"Disk": 3, "Heat": 2}),
        ({"service": "shop"}, {"Heat": 1}),
    ],
    ids=str,
)
def test_groups_windows_and_a_service(
    api: Client, query: dict[str, str], counts: dict[str, int]
) -> None:
    fill()
    assert {name: row["episodes"] for name, row in groups(api, **query).items()} == counts


def test_the_team_of_a_label_wins_as_in_routing(api: Client) -> None:
    shop = make_service(slug="shop", team="tills")
    episode("Disk", HOUR, None, service=shop, labels={"alertname": "Disk", "team": "platform"})
    assert list(groups(api, group_by="team")) == ["platform"]
    assert groups(api, group_by="team")["platform"]["without_owner"] == 0


def test_clocks_that_differ_make_no_negative_time(api: Client) -> None:
    early = timezone.now() - 2 * HOUR
    episode("Disk", HOUR, -MINUTE, acknowledged_at=early)
    (disk,) = groups(api).values()
    assert (disk["mtta_seconds"], disk["mttr_seconds"]) == (0.0, 0.0)


def test_no_alert_at_all_is_a_total_of_nothing(api: Client) -> None:
    answer = api.get(URL).json()
    assert (answer["total"]["episodes"], answer["total"]["mtta_seconds"]) == (0, None)
    assert (answer["groups"], answer["left_out"]) == ([], 0)


def test_any_number_of_episodes_costs_one_statement() -> None:
    for count in (1, 20):
        for number in range(count):
            episode(f"Rule{count}-{number}", HOUR, MINUTE)
        with CaptureQueriesContext(connection) as asked:
            found = analytics.report(at=timezone.now(), most=5)
        assert len(asked) == 1
    assert (len(found.groups), found.left_out) == (5, 16)


@pytest.mark.parametrize(
    "query",
    [{"group_by": "x"}, {"window": "1y"}, {"service": "nobody"}, {"format": "xml"}],
    ids=str,
)
def test_what_it_cannot_group_by_is_refused(api: Client, query: dict[str, str]) -> None:
    assert api.get(URL, query).status_code in (400, 404, 406)


def test_the_csv_has_every_group_and_is_recorded(api: Client, trail: Trail) -> None:
    fill()
    answer: Any = api.get(URL, {"format": "csv", "service": "shop", "window": "90d"})
    (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
    assert (row["name"], row["episodes"], row["mttr_seconds"]) == ("Heat", "2", "2400.0")
    (entry,) = [entry for entry in trail() if entry.action == "data.exported"]
    assert (entry.target_type, entry.data["service"]) == ("api.alert-analytics", "shop")


def test_a_person_needs_to_see_alerts(client: Client) -> None:
    sign_in(client, make_user(is_superuser=False))
    assert client.get(URL).status_code == 403
    assert client.get(PAGE).status_code == 403


def test_the_page_shows_the_same_and_says_what_it_cannot_show(client: Client) -> None:
    sign_in(client)
    assert "No alert started in this window" in client.get(PAGE).content.decode()
    fill()
    page = client.get(PAGE).content.decode()
    assert "?state=all&amp;q=Disk" in page
    assert "20 min" in page  # the mean time until resolved
    wrong = client.get(f"{PAGE}?window=1y&group_by=x&service=nobody").content.decode()
    for sentence in ("Window has no choice", "By has no choice", "There is no service"):
        assert sentence in wrong
