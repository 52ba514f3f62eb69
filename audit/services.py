"""Writes audit entries: `record()` is the only way into the trail; it writes the file's line before the row."""

import itertools
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection, models
from uuid6 import uuid7

from audit import bulk, ecs, logfile, redaction
from audit.codes import code
from audit.models import AuditEntry, Outcome
from audit.taxonomy import meaning
from portal.core import crypto, geoip, request_context, sanitize
from portal.core.models import Service
from portal.core.request_context import ANONYMOUS, Actor

DATA_LIMIT = 16_000
SLUG_LIMIT = 100


class _Writer:
    """Numbers the entries of this process; a fork starts its own sequence."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self.id = ""
        self._numbers = itertools.count(1)

    def next(self) -> tuple[str, int]:
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self.id = f"{socket.gethostname()[:60]}:{self._pid}:{uuid.uuid4().hex[:8]}"
                self._numbers = itertools.count(1)
            return self.id, next(self._numbers)


_writer = _Writer()


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry is about, as text that outlives the object."""

    type: str
    id: str = ""
    name: str = ""


def actor_of(who: Any) -> Actor:
    """Return the Actor for a user or an Actor; for None, that of the current request."""
    if isinstance(who, Actor):
        return who
    if isinstance(who, AnonymousUser):
        return ANONYMOUS
    if isinstance(who, AbstractBaseUser):
        roles = ["superuser"] if getattr(who, "is_superuser", False) else []
        roles += ["staff"] if getattr(who, "is_staff", False) else []
        return Actor("user", str(who.pk), who.get_username(), tuple(roles))
    return request_context.current().actor


def target_of(thing: Any) -> Target:
    """Return the Target for a model instance or a Target; empty for None."""
    if thing is None:
        return Target("")
    if isinstance(thing, Target):
        return thing
    if isinstance(thing, models.Model):
        return Target(thing._meta.label_lower, str(thing.pk or ""), str(thing))
    return Target(str(thing))


def service_of(thing: Any) -> str:
    """Return the slug of the service that a row is or belongs to, or an empty string."""
    try:
        service = thing if isinstance(thing, Service) else getattr(thing, "service", None)
    except ObjectDoesNotExist:  # deleted since the row was read
        return ""
    return service.slug if isinstance(service, Service) else ""


def service_data(slug: str) -> dict[str, Any]:
    """Return the `data` of an entry that concerns the service with this slug; empty without one."""
    return {"service": slug} if slug else {}


def _with_service(target: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data with the service that they name, else that of the target; cut, because it is indexed."""
    facts = {**service_data(service_of(target)), **data}
    named = facts.get("service", "")
    if isinstance(named, str):
        return {**facts, "service": named[:SLUG_LIMIT]} if named else facts
    del facts["service"]
    return {**facts, "service_told": named}  # not a slug, but kept as sent


def _fingerprint(value: str) -> str:
    return crypto.fingerprint("audit", value)


def _bounded(value: Any) -> Any:
    """Return JSON without secrets, cut to about DATA_LIMIT characters; a cut value is marked."""
    clean = redaction.value(sanitize.json(value, limit=2000), _fingerprint)
    if len(str(clean)) <= DATA_LIMIT:
        return clean
    if isinstance(clean, list):
        return [*clean[:50], {"_truncated": True, "count": len(clean)}]
    kept = (
        {key: item for key, item in clean.items() if len(str(item)) < 500}
        if isinstance(clean, dict)
        else {}
    )
    return {**dict(list(kept.items())[:50]), "_truncated": True}


def build(
    action: str,
    *,
    actor: Any = None,
    target: Any = None,
    targets: Iterable[Any] = (),
    outcome: str = Outcome.SUCCESS,
    reason: str = "",
    changes: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    severity: int | None = None,
    http_status: int | None = None,
) -> AuditEntry:
    """Return an unsaved entry: the caller's facts combined with those of the current request."""
    who, what = actor_of(actor), target_of(target)
    writer_id, writer_seq = _writer.next()
    return AuditEntry(
        uid=uuid7(),
        occurred_at=datetime.now(UTC),
        action=action,
        outcome=outcome,
        reason=redaction.text(sanitize.text(reason, 1000)),
        actor_type=who.type,
        actor_id=sanitize.line(who.id, 200),
        actor_name=sanitize.line(who.name, 200),
        actor_roles=[sanitize.line(role, 150) for role in who.roles],
        http_status=http_status,
        target_type=sanitize.line(what.type, 100),
        target_id=sanitize.line(what.id, 200),
        target_name=redaction.text(sanitize.line(what.name, 300)),
        targets=_bounded(
            [{"type": t.type, "id": t.id, "name": t.name} for t in map(target_of, targets)]
        ),
        changes=_bounded(
            redaction.changes(sanitize.json(dict(changes or {}), limit=2000), _fingerprint)
        ),
        data=_bounded(_with_service(target, data or {})),
        writer_id=writer_id,
        writer_seq=writer_seq,
        **_taxonomy_columns(action, outcome, severity),
        **_request_columns(),
    )


def _taxonomy_columns(action: str, outcome: str, severity: int | None) -> dict[str, Any]:
    """Return the ECS categorisation of an action (audit.taxonomy)."""
    means = meaning(action)
    kinds = [*means.type] if outcome == Outcome.SUCCESS else [*{*means.type, "denied"} - {"info"}]
    return {
        "kind": means.kind,
        "category": [*means.category],
        "type": kinds,
        "code": code(action),
        "severity": severity or means.severity,
    }


def _request_columns() -> dict[str, Any]:
    """Return the columns that describe the current request."""
    context = request_context.current()
    location = geoip.location(context.source_ip)
    return {
        "impersonator_id": sanitize.line(context.impersonator.id, 200),
        "impersonator_name": sanitize.line(context.impersonator.name, 200),
        "auth_method": context.auth_method,
        "auth_factors": [*context.auth_factors],
        "session_fp": context.session_fp,
        "token_fp": context.token_fp,
        "source_ip": context.source_ip,
        "source_port": context.source_port,
        "source_ip_chain": context.source_ip_chain,
        "geo_country": location.country,
        "asn": location.asn,
        "user_agent": redaction.text(context.user_agent),
        "http_method": context.http_method,
        "url_path": redaction.text(context.url_path),
        "request_id": context.request_id,
        "client_request_id": redaction.text(context.client_request_id),
        "trace_id": request_context.trace_id(),
    }


def record(action: str, *, actor: Any = None, target: Any = None, **facts: Any) -> AuditEntry:
    """Write one entry and return it.

    A success is written in the caller's transaction, so that the change and its entry are committed or
    rolled back together. A failure or denial is written outside it, so that a rollback does not erase
    it. Hostile text cannot make this fail, because everything is cut and sanitised first.
    """
    entry = build(action, actor=actor, target=target, **facts)
    logfile.write(ecs.document(entry), at=entry.occurred_at)
    outside = entry.outcome != Outcome.SUCCESS and connection.in_atomic_block
    entry.save(using="autocommit" if outside else "default", force_insert=True)
    return entry


def record_each(action: str, *, targets: Iterable[Any], actor: Any = None, **facts: Any) -> None:
    """Write an entry about a success for each target, in the caller's transaction, with one COPY."""
    entries = [build(action, actor=actor, target=target, **facts) for target in targets]
    bulk.write(entries, at=datetime.now(UTC))
