"""Builds the text of a notification (pure): a self-contained subject, and a body with links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_ALERTS = 10
SUBJECT_LENGTH = 200
# Labels that are already in the subject or the links, or that do not help the person on call.
LEFT_OUT = frozenset({"alertname", "severity", "service", "prometheus", "replica"})
SEVERITIES = ("critical", "error", "warning", "info")


@dataclass(frozen=True, slots=True)
class MessageAlert:
    """The fields of an alert that a message shows."""

    id: int
    alertname: str
    severity: str
    service: str
    summary: str
    starts_at: datetime
    ends_at: datetime | None
    url: str
    labels: Mapping[str, str]
    runbook_url: str = ""


def subject(
    firing: Sequence[MessageAlert], resolved: Sequence[MessageAlert], *, repeated: bool = False
) -> str:
    """Return "[FIRING] HighCPU on checkout (critical)", with a count when there are several."""
    about = firing or resolved
    word = ("STILL FIRING" if repeated else "FIRING") if firing else "RESOLVED"
    tag = f"{word}:{len(about)}" if len(about) > 1 else word
    name = _common([alert.alertname for alert in about]) or f"{len(about)} alerts"
    where = _common([alert.service or alert.labels.get("instance", "") for alert in about])
    worst = min((alert.severity for alert in about), key=_rank, default="")
    line = f"[{tag}] {name}" + (f" on {where}" if where else "") + (f" ({worst})" if worst else "")
    return _one_line(line, SUBJECT_LENGTH)


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _common(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""


def _one_line(text: str, limit: int) -> str:
    clean = " ".join(text.split())
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def body(
    firing: Sequence[MessageAlert], resolved: Sequence[MessageAlert], *, group_url: str = ""
) -> str:
    """Return the body: per alert its summary, start, labels and links; at most ten, the rest is counted."""
    parts = []
    for word, alerts in (("Firing", firing), ("Resolved", resolved)):
        if not alerts:
            continue
        if firing and resolved:
            parts.append(f"{word}:")
        ordered = sorted(alerts, key=lambda alert: (_rank(alert.severity), alert.starts_at))
        parts += [_paragraph(alert) for alert in ordered[:MAX_ALERTS]]
        if len(alerts) > MAX_ALERTS:
            parts.append(f"… and {len(alerts) - MAX_ALERTS} more {word.lower()}.")
    if group_url and len(firing) + len(resolved) > 1:
        parts.append(f"All alerts: {group_url}")
    return "\n\n".join(parts)


def _paragraph(alert: MessageAlert) -> str:
    lines = [_one_line(alert.summary or alert.alertname, 500)]
    ended = f", until {_time(alert.ends_at)}" if alert.ends_at else ""
    lines.append(f"{alert.alertname}, since {_time(alert.starts_at)}{ended}")
    labels = [
        f"{name}={value}" for name, value in sorted(alert.labels.items()) if name not in LEFT_OUT
    ]
    if labels:
        lines.append(_one_line(", ".join(labels), 600))
    if alert.runbook_url:
        lines.append(f"Runbook: {alert.runbook_url}")
    lines.append(f"Portal: {alert.url}")
    return "\n".join(lines)


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class WithheldMessage:
    """A message that exceeded the storm budget."""

    subject: str
    firing: int
    resolved: int


def digest(withheld: Sequence[WithheldMessage], *, budget: str, url: str) -> tuple[str, str]:
    """Return subject and body of the one message that counts the withheld ones."""
    firing = sum(message.firing for message in withheld)
    resolved = sum(message.resolved for message in withheld)
    head = f"[DIGEST] {len(withheld)} messages held back: {firing} firing, {resolved} resolved"
    counted: dict[str, int] = {}
    for message in withheld:
        counted[message.subject] = counted.get(message.subject, 0) + 1
    lines = [
        f"More than {budget} messages were due for this channel, so the rest is summarised here.",
        "",
    ]
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    lines += [f"{count} × {line}" if count > 1 else line for line, count in ordered[:30]]
    if len(ordered) > 30:
        lines.append(f"… and {len(ordered) - 30} other subjects.")
    return head, "\n".join([*lines, "", f"All of them: {url}"])
