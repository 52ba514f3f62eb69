"""The four roles, as groups made once after migration; what an administrator changes later stays."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models.signals import post_migrate

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
# Making and unmaking accounts, roles and factors is a superuser's, whatever a group says.
ROLES: dict[str, tuple[dict[str, tuple[str, ...]], ...]] = {
    "viewer": (VIEW,),
    "responder": (VIEW, RESPOND),
    "auditor": (VIEW, AUDIT),
    "administrator": (VIEW, RESPOND, AUDIT, ADMINISTER),
}


def create_roles(**_kwargs: Any) -> None:
    """Create the groups that are missing, once every permission they name exists."""
    known = {
        (permission.content_type.app_label, permission.codename): permission
        for permission in Permission.objects.select_related("content_type")
    }
    for name, parts in ROLES.items():
        wanted = {(app, code) for part in parts for app, codes in part.items() for code in codes}
        if not wanted <= known.keys() or Group.objects.filter(name=name).exists():
            continue
        group = Group.objects.create(name=name)
        group.permissions.set([known[key] for key in sorted(wanted)])


def connect(sender: Any) -> None:
    post_migrate.connect(create_roles, sender=sender, dispatch_uid="security.roles")
