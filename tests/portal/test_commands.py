"""`manage.py poll` and `seed_demo`: what they print, what they leave, and how they end."""

import io
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from alerts.models import Alert
from monitoring.models import ServiceStatus, StatusChange
from portal import demo
from portal.core.models import Service, Upstream
from tests.conftest import Trail
from tests.elastic import fake_elasticsearch, reply
from tests.factories import make_elasticsearch, make_upstream, sign_in
from tests.fakes import FakeAlertmanager, fake_alertmanager, wire_alert

pytestmark = pytest.mark.django_db
# Nobody's demonstration: accounts, factors and credentials are made by people.
MADE_BY_PEOPLE = {"user", "group", "totpdevice", "apitoken", "savedfilter", "savedsearch"}


@pytest.fixture
def fake(settings: Settings) -> Iterator[FakeAlertmanager]:
    settings.PROMETHEUS_URL = settings.ALERTMANAGER_URL = []
    with fake_alertmanager() as server:
        server.alerts = [wire_alert(1), wire_alert(2)]
        yield server


def run(*words: str, **options: Any) -> str:
    said = io.StringIO()
    call_command(*words, stdout=said, **options)
    return said.getvalue()


def test_polling_prints_the_plan_of_each_and_fails_when_one_fails(fake: FakeAlertmanager) -> None:
    make_upstream(name="good", url=fake.url)
    make_upstream(name="off", url=fake.url, enabled=False)
    assert run("poll").startswith("good: 2 seen, 2 opened (")
    assert Alert.objects.count() == 2
    make_upstream(name="bad", url="http://127.0.0.1:1")
    said = io.StringIO()
    with pytest.raises(CommandError, match=r"1 of 2 upstreams failed: bad\.") as failed:
        call_command("poll", stdout=said)
    assert failed.value.returncode == 1
    assert "bad: FAILED after" in said.getvalue()
    assert "Nothing is listening at 127.0.0.1:1" in said.getvalue()
    assert "good: 2 seen (" in said.getvalue()


@pytest.mark.usefixtures("fake")
def test_polling_prints_what_the_server_is_warned_of() -> None:
    with fake_elasticsearch() as elastic:
        elastic.refuse = (200, reply("search-no-index"))
        make_elasticsearch(elastic.url, name="logs")
        assert "s). No index matches 'logs-*', so there is nothing to search." in run("poll")


def test_polling_one_by_name(fake: FakeAlertmanager) -> None:
    make_upstream(name="good", url=fake.url)
    make_upstream(name="bad", url="http://127.0.0.1:1")
    assert run("poll", "good").startswith("good: 2 seen")
    make_upstream(name="off", enabled=False)
    with pytest.raises(CommandError, match=r"no upstream ghost\. Enabled ones: bad, good\."):
        run("poll", "ghost")
    with pytest.raises(CommandError, match=r"The upstream off is disabled\. Enable it"):
        run("poll", "off")


@pytest.mark.usefixtures("fake")
def test_polling_nothing_says_what_to_set() -> None:
    with pytest.raises(CommandError, match=r"no enabled upstream\. Set PROMETHEUS_URL"):
        run("poll")


def test_polling_registers_what_the_environment_names_first(
    fake: FakeAlertmanager, settings: Settings
) -> None:
    settings.ALERTMANAGER_URL = [fake.url]
    assert run("poll").startswith("alertmanager: 2 seen")
    assert Upstream.objects.get(name="alertmanager").managed


def test_demonstration_data_fill_every_list_and_replace_their_like(
    client: Client, trail: Trail
) -> None:
    sign_in(client)
    sizes = {"alerts": 60, "audit_entries": 50, "services": 8, "issues": 12}
    for _ in range(2):
        assert "60 alerts" in run("seed_demo", **sizes)
    assert Alert.objects.filter(upstream__name="demo-alertmanager").count() == 60
    assert Service.objects.count() == 8
    assert [e.action for e in trail() if e.actor_name == "system"].count("system.demo_seeded") == 2
    empty = []
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if model._meta.model_name not in MADE_BY_PEOPLE and not model._default_manager.exists():
            empty.append(name)
        assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200
    assert empty == []
    assert client.get("/admin/").status_code == 200


def test_any_size_is_taken_but_a_negative_one() -> None:
    assert "0 alerts" in run("seed_demo", alerts=0, audit_entries=0, services=0, issues=0)
    with pytest.raises(CommandError, match="cannot be negative"):
        run("seed_demo", alerts=-1)


def test_the_history_of_each_demonstrated_service_leads_to_how_it_is_now() -> None:
    demo.seed(demo.Sizes(alerts=10, services=40, audit_entries=10, issues=5))
    flips: dict[int, list[StatusChange]] = defaultdict(list)
    for flip in StatusChange.objects.filter(check_row__isnull=True).order_by("at", "id"):
        flips[flip.service_id].append(flip)
    statuses = ServiceStatus.objects.filter(service__labels__demo="true")
    assert {status.status for status in statuses} == {"up", "degraded", "down"}
    for status in statuses:
        told = flips[status.service_id]
        assert (told[-1].new_status, told[-1].at) == (status.status, status.since)
        assert all(one.new_status == after.old_status for one, after in pairwise(told))
