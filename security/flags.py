"""Writes flags for rules, admin and API: rules open and extend them, people assign and decide them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from alerts import services as alerts
from audit import services as audit
from audit.models import AuditEntry
from portal.core import sanitize
from portal.core.request_context import SYSTEM
from security import blocks, flag_services
from security.models import Flag, FlagStatus, RuleSetting, SubjectKind
from security.rules.engine import RULES
from security.rules.finding import EVIDENCE_LIMIT, SEVERITIES, Finding

# A flag with at least this score also raises an alert.
ALERT_SCORE = SEVERITIES["high"]
# Entries may be committed a little before or after the times that the rules use.
SLACK = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Result:
    """How many flags an action changed, and how many it left unchanged."""

    changed: int
    unchanged: int = 0

    def sentence(self, verb: str) -> str:
        said = f"{self.changed} flag{'' if self.changed == 1 else 's'} {verb}"
        return (
            f"{said}, {self.unchanged} unchanged: already decided or in that state."
            if self.unchanged
            else f"{said}."
        )


@transaction.atomic
def open_or_extend(finding: Finding) -> Flag:
    """Add a finding to the open flag of its subject, or open a new flag, with alert and block."""
    open_flags = Flag.objects.open().filter(
        rule=finding.rule, subject_kind=finding.subject_kind, subject=finding.subject[:100]
    )
    # NO KEY: a change of a service's slug locks the flags it refers to, while we wait for the service. A
    # full lock could therefore deadlock.
    flag = open_flags.select_for_update(no_key=True).first()
    if flag is None:
        flag = _open(finding)
        audit.record(
            "detection.raised", actor=SYSTEM, target=flag, reason=finding.sentence,
            data={"rule": flag.rule, "score": flag.score, "subject_kind": flag.subject_kind, "subject": flag.subject},
        )  # fmt: skip
        _block(flag)
    else:
        _extend(flag, finding)
    flag_services.name(flag, finding.services)
    if flag.score >= ALERT_SCORE:
        _raise_alert(flag)
    return flag


def _open(finding: Finding) -> Flag:
    first, last = sorted(map(_moment, (finding.first_at, finding.last_at)))
    return Flag.objects.create(
        rule=finding.rule, subject_kind=finding.subject_kind, subject=finding.subject[:100],
        subject_name=sanitize.line(finding.name, 200), score=finding.score,
        sentence=sanitize.line(finding.sentence, 500),
        counts=dict(finding.counts), evidence=_facts(finding), first_at=first, last_at=last,
    )  # fmt: skip


def _extend(flag: Flag, finding: Finding) -> None:
    known = {fact["id"] for fact in flag.evidence}
    new = [fact for fact in _facts(finding) if fact["id"] not in known]
    flag.evidence = [*flag.evidence, *new][-EVIDENCE_LIMIT:]
    flag.first_at = min(flag.first_at, _moment(finding.first_at))
    flag.last_at = max(flag.last_at, _moment(finding.last_at))
    if finding.score >= flag.score:
        flag.score, flag.counts = finding.score, dict(finding.counts)
        flag.sentence = sanitize.line(finding.sentence, 500)
    flag.save(update_fields=["evidence", "first_at", "last_at", "score", "counts", "sentence"])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _facts(finding: Finding) -> list[dict[str, Any]]:
    """Return a summary of each of the finding's entries, oldest first."""
    times = (
        _moment(finding.first_at) - SLACK - timedelta(days=3),
        _moment(finding.last_at) + SLACK,
    )
    entries = AuditEntry.objects.filter(pk__in=finding.evidence, recorded_at__range=times)
    wanted = ("pk", "recorded_at", "action", "outcome", "reason", "actor_name", "target_name", "source_ip",
              "url_path", "data__service")  # fmt: skip
    return [
        {
            "id": row["pk"],
            "at": row["recorded_at"].isoformat(),
            "action": row["action"],
            "outcome": row["outcome"],
            "reason": row["reason"][:200],
            "actor": row["actor_name"],
            "target": row["target_name"][:100],
            "address": str(row["source_ip"] or ""),
            "path": row["url_path"][:200],
            "service": str(row["data__service"] or "")[:100],
        }
        for row in entries.order_by("recorded_at", "id").values(*wanted)
    ]


def alert_of(flag: Flag) -> tuple[str, dict[str, str]]:
    """Return the name and the identifying labels of the flag's alert."""
    camel = "".join(word.capitalize() for word in flag.rule.split("_"))
    labels = {"rule": flag.rule, flag.subject_kind: flag.shown_subject}
    if flag.subject_kind == SubjectKind.TOKEN:  # two accounts may give their tokens the same name
        labels["token_id"] = flag.subject
    return f"PortalThreat{camel}", labels


def _raise_alert(flag: Flag) -> None:
    name, labels = alert_of(flag)
    said = {
        "summary": flag.sentence,
        "description": RULES[flag.rule].explanation if flag.rule in RULES else "",
        "flag": flag.get_absolute_url(),
    }
    word = "critical" if flag.severity == "critical" else "warning"
    alerts.raise_alert(
        alertname=name, labels=labels, severity=word, annotations=said, at=flag.first_at
    )


def _block(flag: Flag) -> None:
    """Block the subject of a new flag if its rule is set to do so, unless it must not be blocked."""
    setting = RuleSetting.objects.filter(rule=flag.rule, block_minutes__gt=0).first()
    if setting is None:
        return
    until = timezone.now() + timedelta(minutes=setting.block_minutes)
    blocks.by_rule(flag, expires_at=until)


def confirm(flags: Sequence[Flag], *, actor: Any, reason: str = "") -> Result:
    """Confirm open flags: they were real."""
    return _decide(flags, FlagStatus.CONFIRMED, actor=actor, reason=reason)


def dismiss(flags: Sequence[Flag], *, actor: Any, reason: str) -> Result:
    """Dismiss open flags as harmless. Raises ValidationError without a reason."""
    if not reason.strip():
        raise ValidationError({"reason": "Enter why it is harmless: similar flags may follow."})
    return _decide(flags, FlagStatus.DISMISSED, actor=actor, reason=reason)


@transaction.atomic
def _decide(flags: Sequence[Flag], status: FlagStatus, *, actor: Any, reason: str) -> Result:
    """Close flags by compare-and-swap; this ends their alerts, but not the blocks they have created."""
    who, now, changed = audit.actor_of(actor).name, timezone.now(), 0
    said = sanitize.text(reason, 1000)
    for flag in flags:
        facts = {"status": status, "decided_at": now, "decided_by": who, "decision_reason": said}
        if not Flag.objects.open().filter(pk=flag.pk).update(**facts):
            continue
        changed += 1
        name, labels = alert_of(flag)
        alerts.clear_alert(
            alertname=name, labels=labels, reason=f"{status.label} by {who}. {said}".strip()
        )
        action = "detection.confirmed" if status is FlagStatus.CONFIRMED else "detection.dismissed"
        audit.record(action, actor=actor, target=flag, reason=said, data={"rule": flag.rule})
    return Result(changed, len(flags) - changed)


@transaction.atomic
def assign(flags: Sequence[Flag], *, to: User | None, actor: Any) -> Result:
    """Assign open flags to a user, or to nobody. Raises ValidationError for an inactive user."""
    if to is not None and not to.is_active:
        raise ValidationError(
            {"user": f"{to.get_username()} is not an active user and cannot be assigned."}
        )
    changed = 0
    for flag in flags:
        others = Flag.objects.open().filter(pk=flag.pk)
        others = others.exclude(assigned_to=to) if to else others.filter(assigned_to__isnull=False)
        if others.update(assigned_to=to):
            changed += 1
            data = {"to": to.get_username() if to else ""}
            audit.record("detection.assigned", actor=actor, target=flag, data=data)
    return Result(changed, len(flags) - changed)
