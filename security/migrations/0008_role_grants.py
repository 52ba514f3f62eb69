"""What the roles were given before it was written down: what of it a group lacks, somebody took away."""

from typing import Any

from django.db import migrations, models

VIEW = """
    core.view_upstream core.view_service alerts.view_alert alerts.view_transition alerts.view_silence
    alerts.view_channel alerts.view_route alerts.view_notification monitoring.view_target
    monitoring.view_servicestatus monitoring.view_statuschange monitoring.view_panel monitoring.view_check
    monitoring.view_scrapetarget monitoring.view_rule monitoring.view_deploy monitoring.view_errorissue
    monitoring.view_errortransition monitoring.view_savedsearch monitoring.add_savedsearch
    monitoring.change_savedsearch monitoring.delete_savedsearch
"""
RESPOND = """
    alerts.change_alert alerts.add_silence alerts.change_silence monitoring.change_errorissue
"""
AUDIT = """
    audit.view_auditentry audit.view_savedfilter audit.add_savedfilter audit.change_savedfilter
    audit.delete_savedfilter audit.view_exportrecord audit.add_exportrecord security.view_flag
    security.view_block security.view_allowentry security.view_rulesetting security.view_siemdestination
"""
ADMINISTER = """
    core.add_upstream core.change_upstream core.delete_upstream core.add_service core.change_service
    core.delete_service alerts.add_channel alerts.change_channel alerts.delete_channel alerts.add_route
    alerts.change_route alerts.delete_route monitoring.add_panel monitoring.change_panel monitoring.delete_panel
    monitoring.add_check monitoring.change_check monitoring.delete_check monitoring.add_deploy
    monitoring.add_scrapetarget monitoring.change_scrapetarget monitoring.delete_scrapetarget
    monitoring.add_rule monitoring.change_rule monitoring.delete_rule security.view_apitoken
    security.add_apitoken security.change_apitoken security.view_totpdevice security.change_flag
    security.add_block security.change_block security.add_allowentry security.delete_allowentry
    security.change_rulesetting security.add_siemdestination security.change_siemdestination
    security.delete_siemdestination auth.view_user auth.view_group
"""
ROLES = {
    "viewer": VIEW,
    "responder": VIEW + RESPOND,
    "auditor": VIEW + AUDIT,
    "administrator": VIEW + RESPOND + AUDIT + ADMINISTER,
}


def remember(apps: Any, _editor: Any) -> None:
    """Write down what the existing groups had been offered: of permissions that exist before this upgrade."""
    group, permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    grant = apps.get_model("security", "RoleGrant")
    names = permission.objects.values_list("content_type__app_label", "codename")
    there = {f"{app}.{codename}" for app, codename in names}
    for role in group.objects.filter(name__in=ROLES).values_list("name", flat=True):
        offered = sorted(there & set(ROLES[role].split()))
        grant.objects.bulk_create([grant(role=role, permission=name) for name in offered])


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("security", "0007_sessions"),
    ]

    operations = [
        migrations.CreateModel(
            name="RoleGrant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.CharField(max_length=150)),
                ("permission", models.CharField(help_text="app_label.codename", max_length=200)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.AddConstraint(
            model_name="rolegrant",
            constraint=models.UniqueConstraint(fields=("role", "permission"), name="role_granted_once"),
        ),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
