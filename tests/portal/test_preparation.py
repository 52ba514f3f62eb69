"""What `manage.py prepare` leaves: each step can be repeated, and nobody gets a link too many."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from portal import managed_upstreams, preparation
from portal.core import checks
from portal.core.models import Upstream
from security import tokens
from security.models import ApiToken, EnrolmentLink, Scope
from tests.conftest import Trail
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_var(tmp_path: Path, settings: Settings) -> Path:
    settings.VAR_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    return tmp_path


def test_the_webhook_token_is_made_once_for_an_account_that_cannot_sign_in(
    own_var: Path, trail: Trail
) -> None:
    assert preparation.keep_webhook_token()
    assert preparation.keep_webhook_token() == ""
    token = ApiToken.objects.get()
    kept = own_var / "secrets" / "alertmanager_webhook"
    assert token.token_hash == tokens.hashed(kept.read_text())
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert token.scopes == [Scope.ALERTS_WRITE]
    assert not token.user.has_usable_password()
    assert not token.user.is_staff
    assert "token.created" in [entry.action for entry in trail()]


def test_a_revoked_webhook_token_is_replaced() -> None:
    preparation.keep_webhook_token()
    tokens.revoke(ApiToken.objects.get())
    assert preparation.keep_webhook_token()
    assert ApiToken.objects.count() == 2


def test_the_first_administrator_gets_a_link_until_one_can_sign_in() -> None:
    assert "/dop_enrol_" in preparation.first_administrator_link()
    assert User.objects.get(username="admin").is_superuser
    assert preparation.first_administrator_link()
    assert EnrolmentLink.objects.count() == 1
    make_user()
    assert preparation.first_administrator_link() == ""


def test_progress_is_lines_of_json_and_the_link_comes_last(own_var: Path) -> None:
    progress = own_var / "progress"
    call_command("prepare", "--progress", str(progress))
    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    assert [line["part"] for line in lines[:2]] == ["Migrations", "Static files"]
    assert lines[0]["sentence"].startswith("none pending")
    assert lines[-1]["link"].startswith("http")
    said = io.StringIO()
    call_command("prepare", stdout=said)
    assert "Static files: unchanged, checked" in said.getvalue()


def test_steps_can_be_left_out_and_the_link_is_printed_all_the_same(own_var: Path) -> None:
    said = io.StringIO()
    call_command("prepare", "--skip", "static", "--skip", "upstreams", stdout=said)
    assert "Static files" not in said.getvalue()
    assert not (own_var / "static").exists()
    assert "Migrations: none pending" in said.getvalue()
    assert "/dop_enrol_" in said.getvalue()


def environment(settings: Settings, **over: Any) -> None:
    settings.PROMETHEUS_URL = over.get("prometheus", [])
    settings.ALERTMANAGER_URL = over.get("alertmanager", [])
    settings.PORTAL_EMBEDDED = over.get("embedded", [])


def test_upstreams_of_the_environment_become_managed_rows(settings: Settings) -> None:
    environment(
        settings, prometheus=["http://p1", "http://p2"], alertmanager=["http://a1", "http://a2"]
    )
    assert managed_upstreams.synchronise() == ["prometheus", "prometheus-2", "alertmanager"]
    assert managed_upstreams.synchronise() == []
    row = Upstream.objects.get(name="alertmanager")
    assert (row.managed, row.members, row.options) == (True, ["http://a1", "http://a2"], {})


def test_a_login_in_a_url_becomes_the_credentials_of_the_row(settings: Settings) -> None:
    environment(
        settings,
        prometheus=["https://ann:p%40ss@p1:9090/prom"],
        alertmanager=["http://a1", "http://bob:secret@a2/am"],
    )
    managed_upstreams.synchronise()
    prometheus, cluster = (
        Upstream.objects.get(name="prometheus"),
        Upstream.objects.get(name="alertmanager"),
    )
    assert (prometheus.url, prometheus.credentials) == (
        "https://p1:9090/prom", {"username": "ann", "password": "p@ss"})  # fmt: skip
    assert (cluster.url, cluster.credentials["password"]) == ("http://a1,http://a2/am", "secret")
    assert managed_upstreams.synchronise() == []


def test_credentials_do_not_follow_an_upstream_to_another_server(settings: Settings) -> None:
    """Neither those of a URL that names none any more, nor those that somebody typed on its page."""
    environment(settings, prometheus=["https://ann:secret@p1:9090"])
    managed_upstreams.synchronise()
    environment(settings, prometheus=["https://p1:9090/prom"])
    managed_upstreams.synchronise()
    row = Upstream.objects.get(name="prometheus")
    assert row.credentials["password"] == "secret"
    for moved in ("http://p1:9090", "https://p2:9090"):
        Upstream.objects.filter(pk=row.pk).update(
            url="https://p1:9090", credentials={"token": "typed"}
        )
        environment(settings, prometheus=[moved])
        assert managed_upstreams.synchronise() == ["prometheus"]
        row.refresh_from_db()
        assert (row.url, row.credentials or {}) == (moved, {})


def test_a_variable_that_is_gone_disables_its_row_and_its_return_enables_it(
    settings: Settings,
) -> None:
    environment(settings, prometheus=["http://p1"])
    managed_upstreams.synchronise()
    environment(settings)
    assert managed_upstreams.synchronise() == ["prometheus"]
    assert not Upstream.objects.get(name="prometheus").enabled
    environment(settings, prometheus=["http://moved"])
    assert managed_upstreams.synchronise() == ["prometheus"]
    assert Upstream.objects.get(name="prometheus", enabled=True).url == "http://moved"


def test_only_the_embedded_alertmanager_has_our_watchdog(settings: Settings) -> None:
    both = {"prometheus": ["http://p1"], "alertmanager": ["http://a1"]}
    environment(settings, **both, embedded=["prometheus", "alertmanager"])
    managed_upstreams.synchronise()
    row = Upstream.objects.get(name="alertmanager")
    assert row.options == managed_upstreams.WATCHDOG
    row.full_clean(exclude=["credentials"])
    row.options = {**row.options, "timeout_seconds": 30}
    row.save()
    assert managed_upstreams.synchronise() == []
    environment(settings, **both)
    managed_upstreams.synchronise()
    assert Upstream.objects.get(name="alertmanager").options == {"timeout_seconds": 30}


def test_rows_made_by_hand_are_left_alone(settings: Settings) -> None:
    environment(settings)
    row = Upstream.objects.create(name="by-hand", kind="prometheus", url="http://p")
    assert managed_upstreams.synchronise() == []
    row.refresh_from_db()
    assert row.enabled


def test_a_lost_key_is_a_sentence(settings: Settings) -> None:
    settings.SENTRY_API_URL, settings.SENTRY_API_TOKEN = "https://sentry.example", "sntrys_first"
    call_command("prepare", only="upstreams", verbosity=0)
    settings.FIELD_ENCRYPTION_KEYS = ["another key"]
    with pytest.raises(CommandError, match="Add the old key again"):
        call_command("prepare", only="upstreams", verbosity=0)


def test_sentry_of_the_environment_keeps_its_token_encrypted(settings: Settings) -> None:
    settings.SENTRY_API_URL, settings.SENTRY_ORG = "https://sentry.example", "acme"
    settings.SENTRY_API_TOKEN = "sntrys_first"
    assert "sentry" in managed_upstreams.synchronise()
    row = Upstream.objects.get(name="sentry")
    assert (row.kind, row.credentials, row.interval_seconds) == (
        "sentry",
        {"token": "sntrys_first"},
        60,
    )
    row.options |= {"projects": ["shop"]}
    row.save()
    settings.SENTRY_API_TOKEN, settings.SENTRY_ORG = "sntrys_second", "other"
    assert managed_upstreams.synchronise() == ["sentry"]
    row.refresh_from_db()
    assert row.options == {"projects": ["shop"], "organization": "other"}
    assert row.credentials == {"token": "sntrys_second"}


def test_half_a_sentry_is_a_check_with_a_hint(settings: Settings) -> None:
    settings.SENTRY_API_URL, settings.SENTRY_ORG, settings.SENTRY_API_TOKEN = "https://s", "", ""
    (problem,) = checks.sentry_is_complete()
    assert (problem.id, problem.msg) == (
        "portal.E003",
        "Not set: SENTRY_ORG, SENTRY_API_TOKEN.",
    )
    assert "org:read" in str(problem.hint)
