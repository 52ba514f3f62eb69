"""Creates the four roles, as groups, after a migration; later changes by administrators are kept.

Each permission is given to a role once, by the first version that lists it, and that is recorded.
"""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models.signals import post_migrate

from audit import services as audit
from portal.core.request_context import SYSTEM
from security.models import RoleGrant

VIEW: dict[str, tuple[str, ...]] = {
    "core": ("view_upstream", "view_service"),
    "alerts": (
        "view_alert",
        "view_transition",
        "view_silence",
        "view_channel",
        "view_route",
        "view_notification",
    ),
    "monitoring": (
        "view_target",
        "view_servicestatus",
        "view_statuschange",
        "view_panel",
        "view_check",
        "view_scrapetarget",
        "view_rule",
        "view_deploy",
        "view_errorissue",
        "view_errortransition",
        "view_savedsearch",
        "add_savedsearch",
        "change_savedsearch",
        "delete_savedsearch",
    ),
}
RESPOND: dict[str, tuple[str, ...]] = {
    "alerts": ("change_alert", "add_silence", "change_silence"),
    "monitoring": ("change_errorissue",),
}
AUDIT: dict[str, tuple[str, ...]] = {
    "audit": (
        "view_auditentry",
        "view_savedfilter",
        "add_savedfilter",
        "change_savedfilter",
        "delete_savedfilter",
        "view_exportrecord",
        "add_exportrecord",
    ),
    "security": (
        "view_flag",
        "view_block",
        "view_allowentry",
        "view_rulesetting",
        "view_siemdestination",
    ),
}
ADMINISTER: dict[str, tuple[str, ...]] = {
    "core": (
        "add_upstream",
        "change_upstream",
        "delete_upstream",
        "add_service",
        "change_service",
        "delete_service",
    ),
    "alerts": (
        "add_channel",
        "change_channel",
        "delete_channel",
        "add_route",
        "change_route",
        "delete_route",
    ),
    "monitoring": (
        "add_panel",
        "change_panel",
        "delete_panel",
        "add_check",
        "change_check",
        "delete_check",
        "add_deploy",
        "add_scrapetarget",
        "change_scrapetarget",
        "delete_scrapetarget",
        "add_rule",
        "change_rule",
        "delete_rule",
    ),
    "security": (
        "view_apitoken",
        "add_apitoken",
        "change_apitoken",
        "view_totpdevice",
        "change_flag",
        "add_block",
        "change_block",
        "add_allowentry",
        "delete_allowentry",
        "change_rulesetting",
        "add_siemdestination",
        "change_siemdestination",
        "delete_siemdestination",
    ),
    "auth": ("view_user", "view_group"),
}
# Only superusers create and delete accounts, roles and factors, whatever permissions a group has.
ROLES: dict[str, tuple[dict[str, tuple[str, ...]], ...]] = {
    "viewer": (VIEW,),
    "responder": (VIEW, RESPOND),
    "auditor": (VIEW, AUDIT),
    "administrator": (VIEW, RESPOND, AUDIT, ADMINISTER),
}


def create_roles(**_kwargs: Any) -> None:
    """Give each role those existing permissions that it has not been given before."""
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    given: dict[str, set[str]] = {}
    for role, name in RoleGrant.objects.values_list("role", "permission"):
        given.setdefault(role, set()).add(name)
    for role, parts in ROLES.items():
        wanted = {
            f"{app}.{code}" for part in parts for app, codes in part.items() for code in codes
        }
        new = (wanted & known.keys()) - given.get(role, set())
        if new:
            _give(role, {name: known[name] for name in sorted(new)}, is_new=role not in given)


@transaction.atomic
def _give(role: str, permissions: dict[str, Permission], *, is_new: bool) -> None:
    """Add the permissions to the role's group, unless the group was deleted or renamed."""
    rows = [RoleGrant(role=role, permission=name) for name in permissions]
    RoleGrant.objects.bulk_create(rows, ignore_conflicts=True)
    group = Group.objects.filter(name=role).first()
    if group is None and is_new:
        group = Group.objects.create(name=role)
    if group is None:
        return
    group.permissions.add(*permissions.values())
    audit.record(
        "role.extended", actor=SYSTEM, target=group, data={"permissions": [*permissions]},
        reason="added by a new version of the portal",
    )  # fmt: skip


def connect(sender: Any) -> None:
    post_migrate.connect(create_roles, sender=sender, dispatch_uid="security.roles")
