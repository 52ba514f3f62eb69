"""Writes blocks and the allow-list; blocks come from people, rules or CrowdSec, and security/gate.py enforces them."""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from audit import services as audit
from portal.core import request_context, sanitize
from portal.core.request_context import SYSTEM
from security import gate_store, subjects
from security.models import AllowEntry, ApiToken, Block, BlockOrigin, Flag, SubjectKind
from security.subjects import Subject

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=366)
SLACK = timedelta(seconds=10)  # for the time between the client's calculation and ours


class SelfBlockError(Exception):
    """The block would hit its own creator, who has to confirm it."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(
            f"This would block yourself ({subject.name or subject.value}). Confirm it if this is intended;"
            " otherwise add your address to the allow-list first."
        )


@transaction.atomic
def create(
    subject: Subject,
    *,
    expires_at: datetime,
    reason: str,
    actor: Any,
    origin: str = BlockOrigin.HAND,
    flag: Flag | None = None,
    confirmed: bool = False,
) -> Block:
    """Block a subject, or give its open block a new end and reason.

    Raises ValidationError for a missing reason, an end out of bounds, a trusted proxy, or a subject on
    the allow-list; SelfBlockError when it would hit the actor and is not `confirmed`.
    """
    now = timezone.now()
    _refuse_senseless(reason, expires_at - now)
    refuse_protected(subject)
    if not confirmed and _hits(subject, actor):
        raise SelfBlockError(subject)
    of_subject = Block.objects.filter(kind=subject.kind, value=subject.value)
    of_subject.elapsed(at=now).update(ended_at=now)
    facts = {"name": sanitize.line(subject.name, 200), "reason": sanitize.line(reason, 500),
             "expires_at": expires_at}  # fmt: skip
    block, created = Block.objects.update_or_create(
        kind=subject.kind, value=subject.value, origin=origin, ended_at__isnull=True,
        defaults={**facts, **({"flag": flag} if flag else {})},
        create_defaults={**facts, "flag": flag, "created_at": now, "created_by": audit.actor_of(actor).name},
    )  # fmt: skip
    data = {"expires_at": expires_at.isoformat(), "origin": origin, "extended": not created}
    audit.record("block.added", actor=actor, target=block, reason=reason, data=data)
    gate_store.write_after_commit()
    return block


def _refuse_senseless(reason: str, length: timedelta) -> None:
    if not reason.strip():
        raise ValidationError({"reason": "Enter a reason: whoever is blocked will ask."})
    if not SHORTEST - SLACK <= length <= LONGEST + SLACK:
        raise ValidationError({"expires_at": "Choose a duration from one minute to 366 days."})


def refuse_protected(subject: Subject) -> None:
    """Raise ValidationError for subjects that must not be blocked: trusted proxies and the allow-list."""
    if subjects.hits_proxy(subject):
        said = "This includes a trusted proxy, so everybody would be blocked. Choose a narrower subject."
        raise ValidationError({"value": said})
    if entry := _allowed_by(subject):
        raise ValidationError({"value": f"{entry} is on the allow-list. Remove it there first."})


def _allowed_by(subject: Subject) -> AllowEntry | None:
    """Return the entry of the allow-list that covers the whole subject."""
    if subject.kind in (SubjectKind.ADDRESS, SubjectKind.NETWORK):
        whole = subjects.networks_around(subject)
        rows = AllowEntry.objects.filter(
            kind__in=[SubjectKind.ADDRESS, SubjectKind.NETWORK], value__in=whole
        )
    else:
        rows = AllowEntry.objects.filter(kind=subject.kind, value=subject.value)
    return rows.first()


def _hits(subject: Subject, actor: Any) -> bool:
    """True when the subject is the current request's address, or the actor's own account or token."""
    context, who = request_context.current(), audit.actor_of(actor)
    if subject.kind == SubjectKind.TOKEN:
        return f"token:{subject.name}" in who.roles
    if subject.kind == SubjectKind.ACCOUNT:
        return who.type in ("user", "token") and who.id == subject.value
    return subject.covers(context.source_ip)


def by_rule(flag: Flag, *, expires_at: datetime) -> Block | None:
    """Block the subject of a flag; None, and a reason in the trail, when it is protected."""
    kind, value = flag.subject_kind, flag.subject
    network = kind == SubjectKind.ADDRESS
    try:
        subject = (
            subjects.parse(kind, value) if network else Subject(kind, value, flag.subject_name)
        )
        reason = f"{flag.title}: {flag.sentence}"
        return create(
            subject, expires_at=expires_at, reason=reason, actor=SYSTEM, origin=BlockOrigin.RULE, flag=flag,
        )  # fmt: skip
    except ValidationError as error:
        audit.record("block.withheld", actor=SYSTEM, target=flag, reason=" ".join(error.messages))
        return None


@transaction.atomic
def lift(block: Block, *, actor: Any, reason: str = "") -> bool:
    """End a block now; False when it has ended already."""
    now, said = timezone.now(), sanitize.line(reason, 500)
    facts = {"ended_at": now, "ended_by": audit.actor_of(actor).name, "end_reason": said}
    if not Block.objects.active(at=now).filter(pk=block.pk).update(**facts):
        return False
    audit.record("block.removed", actor=actor, target=block, reason=said)
    gate_store.write_after_commit()
    return True


@transaction.atomic
def allow(subject: Subject, *, reason: str, actor: Any) -> AllowEntry:
    """Put a subject on the allow-list, which overrides every block. Raises ValidationError without a reason."""
    facts = {
        "name": subject.name,
        "reason": sanitize.line(reason, 500),
        "created_by": audit.actor_of(actor).name,
    }
    entry = AllowEntry(kind=subject.kind, value=subject.value, **facts)
    entry.clean()
    entry, created = AllowEntry.objects.get_or_create(
        kind=subject.kind, value=subject.value, defaults=facts
    )
    if not created:
        raise ValidationError({"value": f"{entry} is already on the allow-list."})
    audit.record("allow.added", actor=actor, target=entry, reason=reason)
    gate_store.write_after_commit()
    return entry


@transaction.atomic
def disallow(entry: AllowEntry, *, actor: Any, reason: str = "") -> None:
    """Remove an entry from the allow-list."""
    audit.record("allow.removed", actor=actor, target=entry, reason=reason)
    entry.delete()
    gate_store.write_after_commit()


def end_elapsed(*, at: datetime) -> int:
    """Record the end of expired blocks; they are no longer enforced anyway."""
    return Block.objects.elapsed(at=at).update(ended_at=at)


def token_made(token: ApiToken) -> None:
    """Update the gate for a new token of a blocked or allowed account, so that it applies to the token at once."""
    account = {"kind": SubjectKind.ACCOUNT, "value": str(token.user_id)}
    blocked = Block.objects.active(at=timezone.now()).filter(**account)
    if blocked.exists() or AllowEntry.objects.filter(**account).exists():
        gate_store.write_after_commit()
