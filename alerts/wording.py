"""Turns alerts into the words of a message: the shell of alerts.messages, which knows our URLs."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from alerts import messages
from alerts.messages import Said
from alerts.models import Alert
from alerts.notification_models import NotificationGroup


def link(path: str) -> str:
    return f"{settings.PORTAL_URL}{path}"


def said(alert: Alert) -> Said:
    return Said(
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
    burning, over = [said(alert) for alert in firing], [said(alert) for alert in resolved]
    name = group.labels.get("alertname", "")
    query = urlencode({"state": "all", **({"q": name} if name else {})})
    listed = link(f"{reverse('admin:alerts_alert_changelist')}?{query}")
    return (
        messages.subject(burning, over, repeated=repeated),
        messages.body(burning, over, group_url=listed),
    )
