"""What the diffs of models are called in the trail, and what they show."""

import pytest
from django.contrib.auth.models import Group, Permission

from audit.models import AuditEntry
from portal.core.models import Service
from tests.factories import make_service, make_user

pytestmark = pytest.mark.django_db


def actions(target: str) -> list[str]:
    rows = AuditEntry.objects.filter(target_name=target).order_by("id")
    return list(rows.values_list("action", flat=True))


def test_an_account_is_created_changed_and_deleted() -> None:
    user = make_user(username="ann", is_superuser=False)
    user.is_active = False
    user.save()
    user.delete()
    assert actions("ann") == ["user.created", "user.updated", "user.deleted"]


def test_who_becomes_superuser_is_granted_a_role_and_who_is_one_no_longer_loses_it() -> None:
    user = make_user(username="ben")
    user.is_superuser = False
    user.save()
    user.is_superuser = True
    user.save()
    assert actions("ben") == ["user.created", "role.granted", "role.revoked", "role.granted"]


def test_a_group_and_a_permission_are_roles_given_and_taken() -> None:
    user, group = make_user(username="eve", is_superuser=False), Group.objects.get(name="viewer")
    user.groups.add(group)
    user.groups.remove(group)
    right = Permission.objects.get(codename="view_alert")
    user.user_permissions.add(right)
    user.user_permissions.remove(right)
    assert actions("eve")[1:] == ["role.granted", "role.revoked"] * 2


def test_a_diff_has_the_columns_of_the_row_and_nothing_that_refers_to_it() -> None:
    make_user(username="kim", is_superuser=False)
    entry = AuditEntry.objects.get(target_name="kim", action="user.created")
    assert set(entry.changes) == {
        "id", "username", "first_name", "last_name", "email", "is_staff", "is_active", "is_superuser", "date_joined",
    }  # fmt: skip
    service = make_service(slug="shop", name="Shop")
    made = AuditEntry.objects.get(target_name="Shop", action="object.created")
    assert set(made.changes) <= {field.name for field in Service._meta.concrete_fields}
    service.delete()
    assert actions("Shop") == ["object.created", "object.deleted"]
