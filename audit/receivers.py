"""Turns model diffs of django-auditlog into audit entries, in the same transaction, and keeps only those.

auditlog's own middleware is not installed, because it trusts the left-most address, and a header can make
it fail. The actor comes from the request context instead.
"""

from collections.abc import Mapping
from typing import Any

from auditlog.models import LogEntry
from django.db.models.signals import post_save

from audit import services
from audit.services import Target
from portal.core.models import Service

VERBS = {
    LogEntry.Action.CREATE: "created",
    LogEntry.Action.UPDATE: "updated",
    LogEntry.Action.DELETE: "deleted",
}
GRANTED = "role.granted"
REVOKED = "role.revoked"
OBJECTS = {"auth.user": "user", "auth.group": "role"}


def connect() -> None:
    post_save.connect(on_log_entry, sender=LogEntry, dispatch_uid="audit.on_log_entry")


def on_log_entry(
    sender: Any, instance: LogEntry, created: bool, raw: bool = False, **_kwargs: Any
) -> None:
    """Record the diff as `object.created|updated|deleted`; accounts and roles have their own action names."""
    verb = VERBS.get(instance.action)
    if raw or not created or verb is None:
        return
    model = f"{instance.content_type.app_label}.{instance.content_type.model}"
    diff = instance.changes_dict
    target = Target(model, str(instance.object_pk), instance.object_repr)
    slug = _service_of(instance, diff)
    services.record(
        _action(model, verb, diff),
        target=target,
        changes=diff,
        data={"service": slug} if slug else {},
    )
    if model == "auth.user" and verb == "created" and _becomes(diff, "is_superuser") == "True":
        services.record(GRANTED, target=target, changes={"is_superuser": [False, True]})
    # The diff is in the trail now. A second copy would outlive retention, and would not be tamper-proof.
    LogEntry.objects.filter(pk=instance.pk).delete()


def _action(model: str, verb: str, diff: Mapping[str, Any]) -> str:
    """Return the action name of a change; for accounts, changes of permissions have separate names."""
    if model == "auth.user" and verb == "updated":
        relations = [diff[name] for name in ("groups", "user_permissions") if name in diff]
        if superuser := _becomes(diff, "is_superuser"):
            return GRANTED if superuser == "True" else REVOKED
        if relations:
            return GRANTED if relations[0].get("operation") == "add" else REVOKED
    return f"{OBJECTS.get(model, 'object')}.{verb}"


def _becomes(diff: Mapping[str, Any], name: str) -> str:
    """Return the new value of a field in auditlog's notation, or an empty string if it did not change."""
    return str(diff[name][-1]) if name in diff else ""


def _service_of(entry: LogEntry, diff: dict[str, Any]) -> str:
    """Return the slug of the changed service, or of the service that the changed row belongs to."""
    model = entry.content_type.model_class()
    if model is None or not (model is Service or hasattr(model, "service")):
        return ""
    if entry.action != LogEntry.Action.DELETE:
        return services.service_of(model._base_manager.filter(pk=entry.object_pk).first())
    if model is Service:  # the row may be deleted; its last values are in the diff
        return str(diff["slug"][0]) if "slug" in diff else ""
    number = str(diff.get("service", ("",))[0])
    return services.service_of(
        Service.objects.filter(pk=number).first() if number.isdigit() else None
    )
