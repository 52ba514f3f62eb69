"""Actions of people on alerts, for the admin and the API: acknowledge, assign, comment, silence.

Each function takes the alerts and `actor=`, changes those that it can by compare-and-swap, writes a
transition and an audit entry per alert in one transaction, and returns the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone

from alerts import silences
from alerts.models import Alert, AlertQuerySet, Silence, Source, Transition, TransitionKind
from alerts.raised import clear_alert, raise_alert
from audit import services as audit
from portal.core import sanitize
from portal.core.matchers import Matcher, MatcherError, build

__all__ = ["Result", "acknowledge", "assign", "clear_alert", "comment", "matchers_of", "parse_matchers",
           "raise_alert", "silence", "unacknowledge"]  # fmt: skip

COMMENT_LIMIT = 4000
# Labels that only identify the reporting replica: a silence on them would miss the other replica.
IGNORED_FOR_SILENCE = frozenset({"replica", "prometheus", "prometheus_replica", "monitor"})


@dataclass(frozen=True, slots=True)
class Result:
    """How many alerts an action changed, and why it left others unchanged."""

    changed: int
    unchanged: int = 0
    why: str = ""

    def sentence(self, verb: str) -> str:
        """Return "3 alerts acknowledged, 1 already resolved."."""
        said = f"{self.changed} alert{'' if self.changed == 1 else 's'} {verb}"
        return f"{said}, {self.unchanged} {self.why}." if self.unchanged else f"{said}."


def _log(
    alerts: Sequence[Alert],
    kind: str,
    *,
    actor: Any,
    text: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """Write a transition and an audit entry for each alert, with a fixed number of statements."""
    who, now, said = audit.actor_of(actor).name, timezone.now(), sanitize.text(text, COMMENT_LIMIT)
    Transition.objects.bulk_create(
        Transition(alert=alert, kind=kind, at=now, source=Source.USER, actor=who, text=said, data=data or {})
        for alert in alerts
    )  # fmt: skip
    prefetch_related_objects(alerts, "service")
    audit.record_each(f"alert.{kind}", targets=alerts, actor=actor, reason=text, data=data)


def _change(
    alerts: Sequence[Alert],
    kind: str,
    free: AlertQuerySet,
    fields: dict[str, Any],
    *,
    actor: Any,
    text: str,
    data: dict[str, Any] | None = None,
) -> list[Alert]:
    """Write `fields` to those alerts that are still in `free`, and return them.

    They are locked in the order of their ids, as in polls, to avoid a deadlock.
    """
    numbers = [alert.pk for alert in alerts]
    locked = free.filter(pk__in=numbers).order_by("pk").select_for_update(of=("self",))
    held = set(locked.values_list("pk", flat=True))
    changed = [alert for alert in alerts if alert.pk in held]
    Alert.objects.filter(pk__in=held).update(**fields)
    for alert in changed:
        for name, value in fields.items():
            setattr(alert, name, value)
    _log(changed, kind, actor=actor, text=text, data=data)
    return changed


@transaction.atomic
def acknowledge(alerts: Sequence[Alert], *, actor: Any, text: str = "") -> Result:
    """Acknowledge open alerts that are not acknowledged yet. An acknowledgement is valid for one episode."""
    free = Alert.objects.open().filter(acknowledged_at__isnull=True)
    fields = {
        "acknowledged_by": audit.actor_of(actor).name,
        "acknowledged_at": timezone.now(),
    }
    done = _change(alerts, TransitionKind.ACKNOWLEDGED, free, fields, actor=actor, text=text)
    return Result(len(done), len(alerts) - len(done), "already acknowledged or resolved")


@transaction.atomic
def unacknowledge(alerts: Sequence[Alert], *, actor: Any, text: str = "") -> Result:
    held = Alert.objects.open().filter(acknowledged_at__isnull=False)
    fields = {"acknowledged_by": "", "acknowledged_at": None}
    done = _change(alerts, TransitionKind.UNACKNOWLEDGED, held, fields, actor=actor, text=text)
    return Result(len(done), len(alerts) - len(done), "not acknowledged")


@transaction.atomic
def assign(alerts: Sequence[Alert], *, to: User | None, actor: Any, text: str = "") -> Result:
    """Assign open alerts to a user, or unassign them. Raises ValidationError for an inactive user."""
    if to is not None and not to.is_active:
        raise ValidationError(
            {"user": f"{to.get_username()} is not an active user and cannot be assigned."}
        )
    elsewhere = Alert.objects.open()
    elsewhere = elsewhere.exclude(assigned_to=to) if to else elsewhere.exclude(assigned_to=None)
    data = {"to": to.get_username() if to else ""}
    done = _change(
        alerts, TransitionKind.ASSIGNED, elsewhere, {"assigned_to": to}, actor=actor, text=text, data=data
    )  # fmt: skip
    return Result(len(done), len(alerts) - len(done), "already assigned or resolved")


@transaction.atomic
def comment(alerts: Sequence[Alert], *, text: str, actor: Any) -> Result:
    """Add a comment, also to resolved alerts. Raises ValidationError when it is empty."""
    if not text.strip():
        raise ValidationError({"text": "Write a comment."})
    _log(alerts, TransitionKind.COMMENTED, actor=actor, text=text)
    return Result(len(alerts))


def matchers_of(alert: Alert) -> list[Matcher]:
    """Return matchers for exactly this alert's labels, except those that identify a replica."""
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

    Raises ValidationError when the alert is resolved or the silence is invalid, UpstreamError when
    Alertmanager cannot be reached.
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
        _log([alert], TransitionKind.SILENCED, actor=actor, text=comment, data=data)
    return made


def parse_matchers(written: Sequence[dict[str, str]]) -> list[Matcher]:
    """Return matchers from `[{"name", "operator", "value"}]`. Raises ValidationError for an invalid one."""
    try:
        return [
            build(str(m["name"]), str(m.get("operator", "=")), str(m["value"])) for m in written
        ]
    except (MatcherError, KeyError, TypeError) as error:
        raise ValidationError({"matchers": f"A matcher is invalid: {error}."}) from error
