"""Roles: complete after installation, extended once by an upgrade, and never refilled."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from security import roles
from security.models import RoleGrant
from tests.conftest import Trail

pytestmark = pytest.mark.django_db


def names(role: str) -> set[str]:
    rows = Group.objects.get(name=role).permissions.select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def wanted(role: str) -> set[str]:
    return {
        f"{app}.{code}"
        for part in roles.ROLES[role]
        for app, codes in part.items()
        for code in codes
    }


@pytest.fixture
def newcomer(monkeypatch: pytest.MonkeyPatch) -> str:
    """Bring a permission with the next version, for viewers and whoever sees what they see."""
    kind = ContentType.objects.get(app_label="core", model="service")
    Permission.objects.create(content_type=kind, codename="admire_service", name="Can admire")
    view = {**roles.VIEW, "core": (*roles.VIEW["core"], "admire_service")}
    parts = {
        role: tuple(view if part is roles.VIEW else part for part in given)
        for role, given in roles.ROLES.items()
    }
    monkeypatch.setattr(roles, "ROLES", parts)
    return "core.admire_service"


def test_a_fresh_installation_has_all_roles_complete_and_written_down() -> None:
    Group.objects.all().delete()
    RoleGrant.objects.all().delete()
    roles.create_roles()
    for role in roles.ROLES:
        assert names(role) == wanted(role)
        assert set(
            RoleGrant.objects.filter(role=role).values_list("permission", flat=True)
        ) == wanted(role)


def test_an_upgrade_gives_what_is_new_once_and_says_so(trail: Trail, newcomer: str) -> None:
    for _ in range(2):
        roles.create_roles()
    assert all(newcomer in names(role) for role in roles.ROLES)
    said = [entry for entry in trail() if entry.action == "role.extended"]
    assert {entry.target_name for entry in said} == set(roles.ROLES)
    assert [entry.data["permissions"] for entry in said] == [[newcomer]] * 4


def test_what_an_administrator_took_away_stays_away(newcomer: str) -> None:
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.remove(Permission.objects.get(codename="view_upstream"))
    viewer.permissions.add(Permission.objects.get(codename="view_auditentry"))
    roles.create_roles()
    viewer.permissions.remove(Permission.objects.get(codename="admire_service"))
    roles.create_roles()
    assert names("viewer") == wanted("viewer") - {"core.view_upstream", newcomer} | {
        "audit.view_auditentry"
    }


def test_a_role_that_was_renamed_or_deleted_does_not_come_back(newcomer: str) -> None:
    Group.objects.filter(name="viewer").update(name="reader")
    Group.objects.filter(name="auditor").delete()
    roles.create_roles()
    assert set(Group.objects.values_list("name", flat=True)) == {
        "reader",
        "responder",
        "administrator",
    }
    assert newcomer not in names("reader")


def test_a_permission_that_does_not_exist_yet_is_given_when_it_does(monkeypatch: Any) -> None:
    later = {**roles.ROLES, "viewer": (roles.VIEW, {"core": ("admire_service",)})}
    monkeypatch.setattr(roles, "ROLES", later)
    roles.create_roles()
    kind = ContentType.objects.get(app_label="core", model="service")
    Permission.objects.create(content_type=kind, codename="admire_service", name="Can admire")
    roles.create_roles()
    assert "core.admire_service" in names("viewer")


def test_groups_of_before_the_record_keep_what_was_taken_from_them(newcomer: str) -> None:
    RoleGrant.objects.all().delete()
    Group.objects.get(name="viewer").permissions.remove(
        Permission.objects.get(codename="view_upstream")
    )
    migration = MigrationLoader(connection).get_migration("security", "0008_role_grants")
    migration.operations[-1].code(apps, None)  # type: ignore[attr-defined]
    assert RoleGrant.objects.filter(role="viewer", permission="core.view_upstream").exists()
    roles.create_roles()
    assert names("viewer") == wanted("viewer") - {"core.view_upstream"}
    assert newcomer in names("viewer")


def test_the_signal_after_migration_extends_the_roles(newcomer: str) -> None:
    call_command("migrate", "security", verbosity=0)
    assert newcomer in names("administrator")
