"""Composes messages about alerts: adds the portal's URLs, which the pure alerts.messages does not know."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from alerts import messages
from alerts.messages import MessageAlert
from alerts.models import Alert
from alerts.notification_models import NotificationGroup


def link(path: str) -> str:
    return f"{settings.PORTAL_URL}{path}"


def _message_alert(alert: Alert) -> MessageAlert:
    return MessageAlert(
        id=alert.pk,
        alertname=alert.alertname,
        severity=alert.severity,
        service=alert.service.slug if alert.service else "",
        summary=alert.summary,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        url=link(alert.get_absolute_url()),
        labels=alert.labels,
        runbook_url=alert.runbook_url,
    )


def compose(
    firing: Sequence[Alert],
    resolved: Sequence[Alert],
    *,
    repeated: bool,
    group: NotificationGroup,
) -> tuple[str, str]:
    """Return subject and body of the message about a group."""
    now_firing = [_message_alert(alert) for alert in firing]
    now_resolved = [_message_alert(alert) for alert in resolved]
    name = group.labels.get("alertname", "")
    query = urlencode({"state": "all", **({"q": name} if name else {})})
    listed = link(f"{reverse('admin:alerts_alert_changelist')}?{query}")
    return (
        messages.subject(now_firing, now_resolved, repeated=repeated),
        messages.body(now_firing, now_resolved, group_url=listed),
    )
