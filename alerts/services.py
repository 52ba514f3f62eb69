"""What people do with alerts: acknowledge, assign, comment, silence. Behind the admin and the API.

Each function takes the alerts and `actor=`, changes what can be changed by compare-and-swap, writes
a transition and an audit entry per alert in one transaction, and returns what it did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from alerts import silences
from alerts.models import Alert, Silence, Source, Transition, TransitionKind
from alerts.raised import clear_alert, raise_alert
from audit import services as audit
from portal.core import sanitize
from portal.core.matchers import Matcher, MatcherError, build

__all__ = ["Result", "acknowledge", "assign", "clear_alert", "comment", "matchers_of", "parse_matchers",
           "raise_alert", "silence", "unacknowledge"]  # fmt: skip

COMMENT_LIMIT = 4000
# Labels that only say which replica reported: a silence on them would miss the other one.
IGNORED_FOR_SILENCE = frozenset({"replica", "prometheus", "prometheus_replica", "monitor"})


@dataclass(frozen=True, slots=True)
class Result:
    """How many alerts an action changed, and why it left others alone."""

    changed: int
    unchanged: int = 0
    why: str = ""

    def sentence(self, verb: str) -> str:
        """Return "3 alerts acknowledged, 1 already resolved."."""
        said = f"{self.changed} alert{'' if self.changed == 1 else 's'} {verb}"
        return f"{said}, {self.unchanged} {self.why}." if self.unchanged else f"{said}."


def _log(
    alert: Alert, kind: str, *, actor: Any, text: str = "", data: dict[str, Any] | None = None
) -> None:
    who = audit.actor_of(actor)
    Transition.objects.create(
        alert=alert,
        kind=kind,
        at=timezone.now(),
        source=Source.USER,
        actor=who.name,
        text=sanitize.text(text, COMMENT_LIMIT),
        data=data or {},
    )
    audit.record(f"alert.{kind}", actor=actor, target=alert, reason=text, data=data)


@transaction.atomic
def acknowledge(alerts: Sequence[Alert], *, actor: Any, text: str = "") -> Result:
    """Acknowledge the open, not yet acknowledged ones. An acknowledgement belongs to the episode."""
    changed = 0
    for alert in alerts:
        free = Alert.objects.open().filter(pk=alert.pk, acknowledged_at__isnull=True)
        name, now = audit.actor_of(actor).name, timezone.now()
        if free.update(acknowledged_by=name, acknowledged_at=now):
            alert.acknowledged_by, alert.acknowledged_at = name, now
            _log(alert, TransitionKind.ACKNOWLEDGED, actor=actor, text=text)
            changed += 1
    return Result(changed, len(alerts) - changed, "already acknowledged or resolved")


@transaction.atomic
def unacknowledge(alerts: Sequence[Alert], *, actor: Any, text: str = "") -> Result:
    changed = 0
    for alert in alerts:
        held = Alert.objects.open().filter(pk=alert.pk, acknowledged_at__isnull=False)
        if held.update(acknowledged_by="", acknowledged_at=None):
            alert.acknowledged_by, alert.acknowledged_at = "", None
            _log(alert, TransitionKind.UNACKNOWLEDGED, actor=actor, text=text)
            changed += 1
    return Result(changed, len(alerts) - changed, "not acknowledged")


@transaction.atomic
def assign(alerts: Sequence[Alert], *, to: User | None, actor: Any, text: str = "") -> Result:
    """Assign open alerts to a user, or to nobody. Raises ValidationError for an inactive user."""
    if to is not None and not to.is_active:
        raise ValidationError(
            {"user": f"{to.get_username()} is not active and cannot be assigned."}
        )
    changed = 0
    for alert in alerts:
        open_elsewhere = Alert.objects.open().filter(pk=alert.pk).exclude(assigned_to=to)
        if to is None:
            open_elsewhere = Alert.objects.open().filter(pk=alert.pk, assigned_to__isnull=False)
        if open_elsewhere.update(assigned_to=to):
            alert.assigned_to = to
            data = {"to": to.get_username() if to else ""}
            _log(alert, TransitionKind.ASSIGNED, actor=actor, text=text, data=data)
            changed += 1
    return Result(changed, len(alerts) - changed, "already assigned so, or resolved")


@transaction.atomic
def comment(alerts: Sequence[Alert], *, text: str, actor: Any) -> Result:
    """Add a comment, also to resolved alerts. Raises ValidationError when it is empty."""
    if not text.strip():
        raise ValidationError({"text": "Write a comment."})
    for alert in alerts:
        _log(alert, TransitionKind.COMMENTED, actor=actor, text=text)
    return Result(len(alerts))


def matchers_of(alert: Alert) -> list[Matcher]:
    """Return matchers that hit exactly this alert's labels, replicas aside."""
    return [
        build(k, "=", v)
        for k, v in sorted(alert.labels.items())
        if v and k not in IGNORED_FOR_SILENCE
    ]


def silence(
    alert: Alert,
    *,
    duration: timedelta,
    comment: str,
    actor: Any,
    matchers: Sequence[Matcher] | None = None,
    starts_at: datetime | None = None,
) -> Silence:
    """Create a silence in Alertmanager for an alert; by default for exactly its labels.

    Raises ValidationError when it is resolved or the silence is refused, UpstreamError when
    Alertmanager cannot take it.
    """
    if not alert.is_open:
        raise ValidationError("This alert is resolved; there is nothing to silence.")
    chosen = list(matchers) if matchers else matchers_of(alert)
    begin = starts_at or timezone.now()
    made = silences.create(
        alert.upstream,
        matchers=chosen,
        starts_at=begin,
        ends_at=begin + duration,
        comment=comment,
        actor=actor,
    )
    with transaction.atomic():
        data = {"silence": made.silence_id, "ends_at": made.ends_at.isoformat()}
        _log(alert, TransitionKind.SILENCED, actor=actor, text=comment, data=data)
    return made


def parse_matchers(written: Sequence[dict[str, str]]) -> list[Matcher]:
    """Return matchers from `[{"name", "operator", "value"}]`. Raises ValidationError naming a wrong one."""
    try:
        return [
            build(str(m["name"]), str(m.get("operator", "=")), str(m["value"])) for m in written
        ]
    except (MatcherError, KeyError, TypeError) as error:
        raise ValidationError({"matchers": f"A matcher is not usable: {error}."}) from error
