"""Mirrors silences from Alertmanager, and creates and expires them there, with audit entries."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from alerts import payloads, raised
from alerts.alertmanager import WRITE_TIMEOUT_SECONDS, Alertmanager
from alerts.models import Alert, AlertQuerySet, Silence
from alerts.payloads import ListedSilence
from audit import services as audit
from portal.core import sanitize
from portal.core.http import UpstreamError
from portal.core.matchers import Matcher, all_match
from portal.core.models import Upstream

MAX_LENGTH = timedelta(days=90)


def mirror(
    upstream: Upstream,
    listed: Mapping[str, ListedSilence],
    *,
    complete: bool,
    asked_at: datetime,
    at: datetime,
) -> int:
    """Update the rows to what Alertmanager lists; return how many changed.

    Alertmanager deletes an expired silence after its retention time; the row stays as history. One that
    disappears before its end is treated as expired now, unless a member did not answer, or it was created
    after the list was requested. Times are by the upstream's clock.
    """
    current = Q(ends_at__gt=at) | Q(silence_id__in=list(listed))
    stored = Silence.objects.filter(current, upstream=upstream)
    known = {row[0]: row[1:] for row in stored.values_list("silence_id", "updated_at", "ends_at")}
    changed = [
        _row(upstream, silence)
        for silence in listed.values()
        if known.get(silence.id)
        != (payloads.moment_of(silence.updatedAt), payloads.end_of(silence))
    ]
    _write(changed)
    gone = [
        name
        for name, (updated, ends) in known.items()
        if name not in listed and ends > at and updated < asked_at
    ]
    if gone and complete:
        Silence.objects.filter(upstream=upstream, silence_id__in=gone).update(ends_at=at)
    return len(changed) + (len(gone) if complete else 0)


def _write(rows: list[Silence]) -> None:
    if not rows:
        return
    fields = ["matchers", "comment", "created_by", "starts_at", "ends_at", "updated_at"]
    Silence.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["upstream", "silence_id"], update_fields=fields
    )


def _row(upstream: Upstream, silence: ListedSilence) -> Silence:
    matchers = [
        {
            "name": sanitize.text(m.name, 200),
            "operator": m.operator,
            "value": sanitize.text(m.value, 2000),
        }
        for m in silence.matchers[:100]
    ]
    return Silence(
        upstream=upstream,
        silence_id=silence.id,
        matchers=matchers,
        comment=sanitize.text(silence.comment, 4000),
        created_by=sanitize.line(silence.createdBy, 200),
        starts_at=payloads.moment_of(silence.startsAt),
        ends_at=payloads.end_of(silence),
        updated_at=payloads.moment_of(silence.updatedAt),
    )


def create(
    upstream: Upstream,
    *,
    matchers: Sequence[Matcher],
    starts_at: datetime | None = None,
    ends_at: datetime,
    comment: str,
    actor: Any,
    replaces: Silence | None = None,
) -> Silence:
    """Create a silence in Alertmanager and mirror it at once; a cluster gossips it to its members.

    With `replaces`, Alertmanager changes that silence, or expires it and creates one with a new id if its
    matchers or its start differ.

    Raises ValidationError for input that Alertmanager would reject or that is too broad or too long,
    and UpstreamError when no member accepts it.
    """
    now, skew = _clock(upstream), _skew(upstream)
    if replaces is None:  # the times of an existing silence are already by that clock
        starts_at, ends_at = starts_at and starts_at + skew, ends_at + skew
    running = replaces is not None and replaces.state(at=timezone.now()) == "active"
    begin = replaces.starts_at if replaces and running else max(starts_at or now, now)
    _check(matchers, max(begin, now), ends_at, comment)
    who = audit.actor_of(actor).name
    body = _body(matchers, begin, ends_at, comment, who)
    body |= {"id": replaces.silence_id} if replaces else {}
    silence_id = _on_any_member(upstream, lambda client: client.create_silence(body))
    facts = {
        "matchers": [str(m) for m in matchers],
        "starts_at": str(begin),
        "ends_at": str(ends_at),
    }
    action = "silence.changed" if replaces else "silence.created"
    with transaction.atomic():
        silence = _store(upstream, silence_id, matchers, begin, ends_at, comment, who)
        if replaces and replaces.pk != silence.pk:
            Silence.objects.filter(pk=replaces.pk, ends_at__gt=now).update(ends_at=now)
        audit.record(action, actor=actor, target=silence, reason=comment, data=facts)
    raised.apply_silences(at=timezone.now())
    return silence


def _skew(upstream: Upstream) -> timedelta:
    return timedelta(seconds=upstream.clock_skew_seconds or 0)


def _clock(upstream: Upstream) -> datetime:
    """Return the time by Alertmanager's clock: if that is an hour behind, our silence would start an hour late."""
    return timezone.now() + _skew(upstream)


def _body(
    matchers: Sequence[Matcher], begin: datetime, ends_at: datetime, comment: str, who: str
) -> dict[str, Any]:
    return {
        "matchers": [_wire(matcher) for matcher in matchers],
        "startsAt": begin.isoformat(),
        "endsAt": ends_at.isoformat(),
        "createdBy": who,
        "comment": comment,
    }


def _store(
    upstream: Upstream,
    silence_id: str,
    matchers: Sequence[Matcher],
    starts_at: datetime,
    ends_at: datetime,
    comment: str,
    created_by: str,
) -> Silence:
    """Mirror a silence that Alertmanager has just accepted; the next poll confirms it."""
    facts = {
        "matchers": [{"name": m.name, "operator": m.operator, "value": m.value} for m in matchers],
        "comment": comment,
        "created_by": created_by,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "updated_at": _clock(upstream),
    }
    return Silence.objects.update_or_create(
        upstream=upstream, silence_id=silence_id, defaults=facts
    )[0]


def _wire(matcher: Matcher) -> dict[str, Any]:
    """Return a matcher in the API's format: two booleans instead of an operator."""
    operator = matcher.operator
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": "~" in operator,
        "isEqual": not operator.startswith("!"),
    }


def _check(matchers: Sequence[Matcher], begin: datetime, ends_at: datetime, comment: str) -> None:
    if not comment.strip():
        raise ValidationError(
            {
                "comment": "Enter a comment: it is required, and tells others why the alert is silenced."
            }
        )
    if not matchers:
        raise ValidationError({"matchers": "Enter at least one matcher."})
    if all(m.matches({}) for m in matchers):
        raise ValidationError(
            {"matchers": "This would silence every alert. Name at least one label."}
        )
    if ends_at <= begin:
        raise ValidationError({"ends_at": "The end is before the start, or in the past."})
    if ends_at - begin > MAX_LENGTH:
        raise ValidationError({"ends_at": f"A silence lasts at most {MAX_LENGTH.days} days."})


def expire(silence: Silence, *, actor: Any, reason: str = "") -> bool:
    """Expire a silence in Alertmanager now; False when it has already ended. Raises UpstreamError."""
    if silence.state(at=timezone.now()) == "expired":
        return False
    now = _clock(silence.upstream)
    _on_any_member(silence.upstream, lambda client: client.expire_silence(silence.silence_id))
    with transaction.atomic():
        ended = Silence.objects.filter(pk=silence.pk, ends_at__gt=now).update(ends_at=now)
        audit.record("silence.expired", actor=actor, target=silence, reason=reason)
    raised.apply_silences(at=timezone.now())
    return bool(ended)


class HeldHere:
    """Takes the place of an Alertmanager client, for silences on the portal's own alerts."""

    def create_silence(self, body: Mapping[str, Any]) -> str:
        return str(body.get("id") or uuid.uuid4())

    def expire_silence(self, silence_id: str) -> None:
        """Do nothing: the row itself is the silence."""


def _on_any_member(upstream: Upstream, act: Any) -> Any:
    """Run `act(client)` on the first member that can; raises the last error when none can."""
    if upstream.kind == Upstream.Kind.PORTAL:
        return act(HeldHere())
    failure: UpstreamError | None = None
    for member in upstream.members:
        try:
            with Alertmanager(upstream, member, timeout_seconds=WRITE_TIMEOUT_SECONDS) as client:
                return act(client)
        except UpstreamError as error:
            failure = error
            if not error.retryable:
                break
    assert failure is not None
    audit.record("silence.failed", target=upstream, outcome="failure", reason=str(failure))
    raise failure


def preview(
    upstream: Upstream, matchers: Sequence[Matcher], *, most: int
) -> tuple[int, list[Alert]]:
    """Return how many open alerts a silence with these matchers would hit, and the newest of them."""
    candidates: AlertQuerySet = Alert.objects.open().filter(upstream=upstream)
    equal = {m.name: m.value for m in matchers if m.operator == "=" and m.value}
    if equal:
        candidates = candidates.filter(labels__contains=equal)
    labelled = candidates.values_list("pk", "labels").iterator()
    hit = [pk for pk, labels in labelled if all_match(matchers, labels)]
    shown = Alert.objects.select_related("upstream", "service", "assigned_to")
    return len(hit), list(shown.filter(pk__in=hit[:most]))
