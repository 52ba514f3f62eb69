"""By API a person may do what the admin lets them do, and puts into a token no more than that."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from portal.api import router
from security.models import Scope
from security.roles import ADMINISTER
from security.scopes import covered_by, grantable_scopes
from tests.factories import make_flag, make_user, sign_in

pytestmark = pytest.mark.django_db
JSON: Any = {"content_type": "application/json"}
BLOCK = {"kind": "address", "value": "192.0.2.7", "reason": "scan", "duration_seconds": 600}
# Permission: what it opens. Each is refused to whoever holds the others.
DOORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "security.add_apitoken": ("post", "tokens/", {"name": "x", "scopes": ["read"]}),
    "security.add_block": ("post", "blocks/", BLOCK),
    "security.add_allowentry": ("post", "allow-list/", {"kind": "address", "value": "192.0.2.8", "reason": "us"}),
    "security.change_flag": ("post", "flags/{flag}/confirm/", {}),
    "security.change_rulesetting": ("patch", "detections/rules/scanner/", {"enabled": False}),
    "security.add_siemdestination": ("post", "siem-destinations/", {"name": "a", "url": "syslog+tcp://siem"}),
    "audit.add_exportrecord": ("post", "audit/exports/", {"query": {"group": "auth"}}),
    "audit.add_savedfilter": ("post", "audit/filters/", {"name": "a", "query": {"group": "auth"}}),
}  # fmt: skip


def person(*names: str) -> Client:
    user, client = make_user(is_superuser=False), Client()
    for name in names:
        app, _, code = name.partition(".")
        user.user_permissions.add(
            Permission.objects.get(codename=code, content_type__app_label=app)
        )
    sign_in(client, user)
    return client


@pytest.mark.parametrize("permission", DOORS)
def test_each_permission_opens_its_own_door_and_no_other(permission: str) -> None:
    method, path, body = DOORS[permission]
    url = "/api/v1/" + path.format(flag=make_flag().pk)
    others = [name for name in DOORS if name != permission]
    refused = getattr(person(*others, "audit.view_auditentry"), method)(url, body, **JSON)
    assert (refused.status_code, permission in refused.json()["detail"]) == (403, True)
    assert getattr(person(permission), method)(url, body, **JSON).status_code in (200, 201)


def test_every_action_of_security_that_writes_names_its_permission() -> None:
    missing = []
    views: list[tuple[str, Any]] = [(prefix, view) for prefix, view, _ in router.registry]
    for prefix, view in views:
        if not view.__module__.startswith("security."):
            continue
        writing = {"create", "update", "partial_update", "destroy"} & set(dir(view))
        writing |= {a.__name__ for a in view.get_extra_actions() if set(a.mapping) != {"get"}}
        if not getattr(view, "write_permission", ""):
            missing += [(prefix, name) for name in writing - view.person_permissions.keys()]
    assert missing == []


@pytest.mark.parametrize(
    "role, scopes",
    [
        ("viewer", ["read", "metrics"]),
        ("responder", ["read", "alerts:write", "metrics"]),
        ("auditor", ["read", "audit:read", "metrics"]),
        ("administrator", ["read", "alerts:write", "monitoring:write", "audit:read", "security:write", "metrics"]),
    ],
)  # fmt: skip
def test_a_role_grants_the_scopes_of_what_it_may(role: str, scopes: list[str]) -> None:
    user = make_user(is_superuser=False)
    user.groups.add(Group.objects.get(name=role))
    assert grantable_scopes(user) == scopes


def test_whoever_may_only_make_tokens_grants_nothing_that_writes() -> None:
    client = person("security.add_apitoken", "core.change_upstream", "alerts.change_alert")
    for scope in (Scope.SECURITY_WRITE, Scope.MONITORING_WRITE, Scope.ALERTS_WRITE):
        body = {"name": "x", "scopes": [scope]}
        assert client.post("/api/v1/tokens/", body, **JSON).status_code == 403, scope


def test_every_permission_of_the_administrator_is_covered_by_a_scope() -> None:
    covered = set[str]().union(*(covered_by(scope) for scope in Scope.values))
    parts = {f"{app}.{code}" for app, codes in ADMINISTER.items() for code in codes}
    assert {name for name in parts - covered if ".view_" not in name} == set()
