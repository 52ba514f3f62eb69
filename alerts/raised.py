"""Raises the portal's own alerts: for a failing check, a threat, or a channel that cannot deliver.

They are episodes like those of an Alertmanager, on an internal upstream that is never polled and always
live. Silences on them are stored only here, and applied by a tick.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db import transaction
from django.utils import timezone

from alerts import episodes, payloads
from alerts.episodes import Step
from alerts.incoming import Row
from alerts.models import Alert, AlertQuerySet, Silence, Source, State, TransitionKind
from alerts.plans import Resolution
from portal.core import sanitize
from portal.core.catalogue import Catalogue
from portal.core.matchers import Matcher, MatcherError, all_match, build
from portal.core.models import Service, Upstream

NAME = "portal"


def upstream() -> Upstream:
    """Return the internal upstream, which is created on first use."""
    defaults = {"kind": Upstream.Kind.PORTAL, "enabled": False, "managed": True}
    return Upstream.objects.get_or_create(name=NAME, defaults=defaults)[0]


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits that are the same for the same labels."""
    packed = msgspec.json.encode(sorted(labels.items()))
    return hashlib.blake2b(packed, digest_size=8).hexdigest()


def raise_alert(
    *,
    alertname: str,
    labels: Mapping[str, str],
    severity: str = "warning",
    annotations: Mapping[str, str] | None = None,
    service: Service | None = None,
    at: datetime | None = None,
) -> Alert:
    """Open an episode, or update the open one; safe to call repeatedly.

    `labels` are the identity, together with `alertname`; severity and annotations may change while
    it is open. `at` is when the wanted began (default: now).
    """
    ours, now = upstream(), timezone.now()
    identity = _identity(alertname, labels)
    said = payloads.annotations_of(annotations or {})
    labelled = {**identity, "severity": sanitize.line(severity, 50).lower()}
    silenced = _hitting(_active(ours, at=now), labelled)
    row = Row(
        id=None,
        fingerprint=fingerprint_of(identity),
        alertname=identity["alertname"],
        severity=labelled["severity"],
        service_id=service.pk if service else Catalogue.load().service_id(identity),
        state=State.SUPPRESSED if silenced else State.FIRING,
        labels=labelled,
        annotations=said,
        receivers=[],
        generator_url="",
        content_hash=b"",
        starts_at=min(at or now, now),
        silenced_by=silenced,
    )
    open_episode = Alert.objects.open().filter(upstream=ours, fingerprint=row.fingerprint)
    with transaction.atomic():
        while True:
            if not episodes.insert(ours.pk, [row], source=Source.PORTAL, at=now):
                _bring_up_to_date(open_episode, row, at=now)
            if alert := open_episode.select_related("upstream", "service").first():
                return alert
            # Another worker has just cleared it: this is a new episode.


def _bring_up_to_date(open_episode: AlertQuerySet, row: Row, *, at: datetime) -> None:
    """Update an open episode; a change of severity adds a transition, so that it is routed again."""
    changed = open_episode.exclude(annotations=row.annotations, severity=row.severity)
    known = changed.select_for_update(of=("self",)).values_list("pk", "severity").first()
    if known is None:
        return
    open_episode.update(annotations=row.annotations, severity=row.severity, labels=row.labels)
    if known[1] != row.severity:
        words = f"{known[1] or 'none'} → {row.severity or 'none'}"
        step = Step(known[0], TransitionKind.SEVERITY, at, words)
        episodes.add_steps([step], source=Source.PORTAL, at=at)


def clear_alert(
    *, alertname: str, labels: Mapping[str, str], at: datetime | None = None, reason: str = ""
) -> bool:
    """Close the open episode at `at` (default: now) as its exact end; False when none is open."""
    ours, now = upstream(), timezone.now()
    end = min(at or now, now)
    wanted = fingerprint_of(_identity(alertname, labels))
    with transaction.atomic():
        found = Alert.objects.open().filter(upstream=ours, fingerprint=wanted).first()
        if found is None:
            return False
        closed = episodes.close([Resolution(found.pk, end, end)], source=Source.PORTAL, at=now)
        if closed and reason:
            said = Step(found.pk, "commented", now, sanitize.text(reason, 4000))
            episodes.add_steps([said], source=Source.PORTAL, at=now)
    return bool(closed)


@dataclass(frozen=True, slots=True)
class DesiredAlert:
    """An alert that should be open: its labels other than the name, and its annotations."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    severity: str = "warning"
    at: datetime | None = None


def sync(alertname: str, desired: Sequence[DesiredAlert], *, reason: str = "") -> None:
    """Make the open alerts called `alertname` exactly the `desired` ones: raise those, clear the others.

    For conditions that are evaluated all at once, so that alerts about renamed or deleted objects end too.
    """
    for wanted in desired:
        raise_alert(
            alertname=alertname,
            labels=wanted.labels,
            severity=wanted.severity,
            annotations=wanted.annotations,
            at=wanted.at,
        )
    still = {fingerprint_of(_identity(alertname, wanted.labels)) for wanted in desired}
    open_ones = Alert.objects.open().filter(upstream__name=NAME, alertname=alertname)
    for alert in open_ones.exclude(fingerprint__in=still):
        labels = {name: value for name, value in alert.labels.items() if name != "severity"}
        clear_alert(alertname=alertname, labels=labels, reason=reason)


def _identity(alertname: str, labels: Mapping[str, str]) -> dict[str, str]:
    name = sanitize.line(alertname, 300) or "unnamed alert"
    return {**payloads.labels_of(labels), "alertname": name}


def apply_silences(*, at: datetime) -> int:
    """Suppress or unsuppress the portal's own open alerts when silences begin or end."""
    ours = Upstream.objects.filter(name=NAME, kind=Upstream.Kind.PORTAL).first()
    if ours is None:
        return 0
    active = _active(ours, at=at)
    changed = 0
    with transaction.atomic():
        for alert in Alert.objects.open().filter(upstream=ours).select_for_update(of=("self",)):
            changed += _suppress(alert, _hitting(active, alert.labels), at=at)
    return changed


def _suppress(alert: Alert, by: list[str], *, at: datetime) -> bool:
    if by == alert.silenced_by:
        return False
    state = State.SUPPRESSED if by else State.FIRING
    Alert.objects.filter(pk=alert.pk).update(silenced_by=by, state=state)
    if kind := episodes.step_of_state(alert.state, state):
        episodes.add_steps([Step(alert.pk, kind, at)], source=Source.PORTAL, at=at)
    return True


def _active(ours: Upstream, *, at: datetime) -> list[Silence]:
    return list(Silence.objects.active(at=at).filter(upstream=ours).order_by("id"))


def _hitting(silences: list[Silence], labels: Mapping[str, str]) -> list[str]:
    return [s.silence_id for s in silences if all_match(_matchers(s), labels)]


def _matchers(silence: Silence) -> list[Matcher]:
    """Return the matchers of a silence; empty, so that it hits nothing, if one no longer parses."""
    try:
        return [build(m["name"], m["operator"], m["value"]) for m in silence.matchers]
    except (MatcherError, KeyError):
        return []
