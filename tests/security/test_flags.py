"""What people do with flags and rules, through the admin and the API."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts import services as alerts
from alerts.models import Alert
from security import flags, rule_settings, tokens
from security.models import Block, Flag, RuleSetting
from security.rules.engine import RULES
from security.rules.finding import Finding
from tests.conftest import Trail
from tests.factories import make_flag, make_user, sign_in
from tests.security.builders import RULE_FORM

pytestmark = pytest.mark.django_db
JSON: Any = {"content_type": "application/json"}


def api(*scopes: str) -> Client:
    written = tokens.create(user=make_user(), name="ci", scopes=scopes)[1]
    return Client(headers={"Authorization": f"Bearer {written}"})


def test_a_flag_is_assigned_and_confirmed_by_api(trail: Trail) -> None:
    flag, client, user = make_flag(), api("read", "security:write"), make_user()
    url = f"/api/v1/flags/{flag.pk}/"
    assert (
        client.post(f"{url}assign/", {"user": user.username}, **JSON).json()["assigned_to"]
        == user.username
    )
    assert client.post(f"{url}assign/", {"user": "nobody at all"}, **JSON).status_code == 400
    assert client.post(f"{url}confirm/", {}, **JSON).json()["status"] == "confirmed"
    assert client.post(f"{url}confirm/", {}, **JSON).status_code == 409
    actions = [entry.action for entry in trail() if entry.action.startswith("detection.")]
    assert actions == ["detection.assigned", "detection.confirmed"]


def test_dismissing_needs_a_reason_and_ends_the_alert() -> None:
    flag, client = make_flag(score=95), api("security:write")
    name, labels = flags.alert_of(flag)
    alerts.raise_alert(alertname=name, labels=labels)
    url = f"/api/v1/flags/{flag.pk}/dismiss/"
    assert client.post(url, {"reason": " "}, **JSON).status_code == 400
    assert client.post(url, {"reason": "our own scanner"}, **JSON).status_code == 200
    assert Alert.objects.get(alertname=name).state == "resolved"


@pytest.mark.parametrize(
    ("score", "severity"), [(69, None), (70, "warning"), (89, "warning"), (90, "critical")]
)
def test_a_high_score_is_an_alert(score: int, severity: str | None) -> None:
    found = Finding(
        rule="scanner", subject_kind="address", subject="192.0.2.7", score=score, first_at=1.0, last_at=2.0,
        counts={}, evidence=(), sentence="Fourteen refusals.",
    )  # fmt: skip
    flags.open_or_extend(found)
    raised = Alert.objects.filter(alertname="PortalThreatScanner").first()
    assert (raised and raised.severity) == severity


def test_decisions_are_the_record_of_a_rule() -> None:
    for status in ("confirmed", "confirmed", "confirmed", "dismissed", "open"):
        make_flag(
            rule="scanner", status=status, decided_at=None if status == "open" else timezone.now()
        )
    answer = api("read").get("/api/v1/detections/rules/").json()["results"]
    assert {row["rule"]: row["precision"] for row in answer if row["rule"] in ("scanner", "mass_export")} == {
        "scanner": 0.75, "mass_export": None,
    }  # fmt: skip


def test_evidence_is_shown_to_those_who_may_read_the_trail() -> None:
    url = f"/api/v1/flags/{make_flag().pk}/"
    assert set(api("read").get(url).json()["evidence"][0]) == {"id", "at"}
    assert api("read", "audit:read").get(url).json()["evidence"][0]["reason"] == "bad_password"
    assert api("read").post(f"{url}confirm/", {}, **JSON).status_code == 403


def test_flags_are_filtered_and_exported() -> None:
    make_flag(score=90, rule="scanner")
    make_flag()
    client = api("read")
    assert (
        len(client.get("/api/v1/flags/?min_score=80&status=open&rule=scanner").json()["results"])
        == 1
    )
    assert client.get("/api/v1/flags/?rule=nonsense").status_code == 400
    lines = b"".join(client.get("/api/v1/flags/?format=csv")).splitlines()
    assert len(lines) == 3


def test_a_rule_is_set_by_api_within_its_bounds(trail: Trail) -> None:
    client, url = api("read", "security:write"), "/api/v1/detections/rules/scanner/"
    changed = client.patch(url, {"thresholds": {"missing": 20}, "block_minutes": 30}, **JSON)
    assert (changed.json()["thresholds"], changed.json()["block_minutes"]) == ({"missing": 20}, 30)
    assert [entry.action for entry in trail()][-1] == "config.changed"
    numbers: list[Any] = [1, "x", True, 1e400]
    shapes: list[Any] = [{"unknown": 5}, [], "x", None]
    for wrong in [*({"missing": number} for number in numbers), *shapes]:
        assert client.patch(url, {"thresholds": wrong}, **JSON).status_code == 400, wrong
    assert client.patch(url, {"block_minutes": 10**9}, **JSON).status_code == 400


def test_two_who_set_different_fields_of_a_rule_undo_nothing_of_each_other() -> None:
    first = RuleSetting.objects.get(rule="scanner")
    second = RuleSetting.objects.get(rule="scanner")
    rule_settings.change(first, actor=None, thresholds={"missing": 20})
    rule_settings.change(second, actor=None, enabled=False)
    first.refresh_from_db()
    assert (first.thresholds, first.enabled) == ({"missing": 20}, False)


def test_the_list_of_rules_asks_once_how_often_they_were_right(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client = api("read")
    client.get("/api/v1/detections/rules/")
    with django_assert_num_queries(3):  # the token, the rules, their records
        assert len(client.get("/api/v1/detections/rules/").json()["results"]) == len(RULES)


def test_flags_of_two_tokens_called_alike_have_an_alert_each() -> None:
    ours, theirs = (
        make_flag(rule="token_new_client", subject_kind="token", subject=number, subject_name="ci", score=80)
        for number in ("17", "18")
    )  # fmt: skip
    for flag in (ours, theirs):
        flags._raise_alert(flag)
    flags.confirm([ours], actor=None)
    states = Alert.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == ["resolved", "firing"]


def test_a_session_sets_a_rule_only_with_a_fresh_code(client: Client) -> None:
    sign_in(client)
    url = "/api/v1/detections/rules/scanner/"
    assert client.patch(url, {"enabled": False}, **JSON).status_code == 200
    session = client.session
    session["portal_verified_at"] -= 601
    session.save()
    assert client.patch(url, {"enabled": True}, **JSON).status_code == 403
    assert not RuleSetting.objects.get(rule="scanner").enabled


@pytest.mark.parametrize(
    "body",
    [
        {}, {"since": "x"}, {"since": "2026-01-01T00:00:00Z", "until": "2025-01-01T00:00:00Z"},
        {"since": "1990-01-01T00:00:00Z"}, {"since": "2026-11-01T00:00:00Z", "rules": ["nonsense"]},
        {"since": "2026-11-01T00:00:00Z", "thresholds": {"scanner": {"missing": "\ud800"}}},
        {"since": "2026-11-01T00:00:00Z", "thresholds": {"nonsense": {}}}, [],
    ],
)  # fmt: skip
def test_a_replay_that_makes_no_sense_is_refused(body: Any) -> None:
    assert api("security:write").post("/api/v1/detections/replay/", body, **JSON).status_code == 400


def test_the_page_of_a_flag_acts_and_blocks(client: Client) -> None:
    user, flag = sign_in(client), make_flag()
    page = client.get(flag.get_absolute_url()).content.decode()
    assert flag.sentence in page
    url = f"/admin/security/flag/{flag.pk}/"
    client.post(f"{url}assign/do/", {"user": user.pk})
    client.post(f"{url}block/do/", {"duration": "1h"})
    client.post(f"{url}dismiss/do/", {"reason": ""})
    assert Flag.objects.get().status == "open"
    client.post(f"{url}dismiss/do/", {"reason": "a test"})
    flag.refresh_from_db()
    assert (flag.status, flag.assigned_to, flag.decision_reason) == ("dismissed", user, "a test")
    assert Block.objects.get().value == flag.subject


def test_evidence_is_shown_to_whoever_sees_the_trail(client: Client) -> None:
    facts = {"id": 7, "at": timezone.now().isoformat(), "action": "auth.login_failed", "path": "/their/path/",
             "address": "198.51.100.77", "reason": "bad_password", "outcome": "failure"}  # fmt: skip
    flag, user = make_flag(evidence=[facts]), make_user(is_superuser=False)
    sign_in(client, user)
    for code, sees in (("view_flag", False), ("view_auditentry", True)):
        user.user_permissions.add(Permission.objects.get(codename=code))
        page = client.get(flag.get_absolute_url()).content.decode()
        assert ("198.51.100.77" in page, "/their/path/" in page) == (sees, sees)


def test_the_page_of_a_rule_saves_and_replays(client: Client) -> None:
    sign_in(client)
    setting = RuleSetting.objects.get(rule="mass_export")
    url = f"/admin/security/rulesetting/{setting.pk}/change/"
    assert "would have flagged" in client.post(url, RULE_FORM | {"replay": "1"}).content.decode()
    assert client.post(url, RULE_FORM | {"save": "1", "exports": 1}).status_code == 200
    assert client.post(url, RULE_FORM | {"save": "1"}).status_code == 302
    setting.refresh_from_db()
    assert setting.thresholds == {"exports": 3}


def test_a_block_is_made_in_the_admin_and_not_over_oneself_by_mistake(client: Client) -> None:
    sign_in(client)
    form = {"kind": "network", "value": "127.0.0.0/8", "reason": "test", "duration": "1h"}
    refused = client.post("/admin/security/block/add/", form)
    assert "block yourself" in refused.content.decode()
    assert (
        client.post("/admin/security/block/add/", form | {"value": "nonsense"}).status_code == 200
    )
    assert (
        client.post("/admin/security/block/add/", form | {"value": "192.0.2.7"}).status_code == 302
    )
    assert client.post("/admin/security/allowentry/add/", form).status_code == 302
    client.post(
        "/admin/security/block/", {"action": "lift", "_selected_action": [Block.objects.get().pk]}
    )
    assert Block.objects.get().ended_at is not None


@pytest.mark.parametrize("page", ["flag", "block", "rulesetting", "allowentry"])
def test_lists_cost_the_same_for_few_and_many(
    client: Client, page: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    sign_in(client)
    for _ in range(30):
        make_flag()
    with django_assert_max_num_queries(12):
        assert client.get(f"/admin/security/{page}/").status_code == 200


@pytest.mark.parametrize(
    "path", ["flags", "blocks", "blocks/fail2ban", "allow-list", "detections/rules"]
)
@pytest.mark.parametrize(("role", "code"), [("viewer", 403), ("auditor", 200)])
def test_the_api_shows_threats_to_whom_the_admin_does(path: str, role: str, code: int) -> None:
    """A token of the account opens no more than the account itself."""
    user = make_user(is_superuser=False)
    user.groups.add(Group.objects.get(name=role))
    session, token = Client(), tokens.create(user=user, name="t", scopes=["read"])[1]
    sign_in(session, user)
    bearer = Client(headers={"Authorization": f"Bearer {token}"})
    assert [c.get(f"/api/v1/{path}/").status_code for c in (session, bearer)] == [code, code]
