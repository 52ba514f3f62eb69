"""Converts an audit entry to a flat ECS document with dotted names (pure)."""

from datetime import UTC, datetime
from typing import Any, Protocol

from audit.taxonomy import OWASP

# entry attribute -> ECS name; attributes without an ECS name are under `portal.`
FIELDS: dict[str, str] = {
    "uid": "event.id",
    "kind": "event.kind",
    "category": "event.category",
    "type": "event.type",
    "action": "event.action",
    "code": "event.code",
    "outcome": "event.outcome",
    "reason": "event.reason",
    "severity": "event.severity",
    "writer_seq": "event.sequence",
    "actor_type": "portal.actor.type",
    "actor_id": "user.id",
    "actor_name": "user.name",
    "actor_roles": "user.roles",
    "impersonator_id": "portal.impersonator.id",
    "impersonator_name": "portal.impersonator.name",
    "auth_method": "portal.auth.method",
    "auth_factors": "portal.auth.factors",
    "session_fp": "portal.session.fingerprint",
    "token_fp": "portal.token.fingerprint",
    "source_ip": "source.ip",
    "source_port": "source.port",
    "source_ip_chain": "portal.source.chain",
    "geo_country": "source.geo.country_iso_code",
    "asn": "source.as.number",
    "user_agent": "user_agent.original",
    "http_method": "http.request.method",
    "url_path": "url.path",
    "http_status": "http.response.status_code",
    "request_id": "http.request.id",
    "client_request_id": "portal.client_request_id",
    "trace_id": "trace.id",
    "target_type": "portal.target.type",
    "target_id": "portal.target.id",
    "target_name": "portal.target.name",
    "targets": "portal.targets",
    "changes": "portal.changes",
    "data": "portal.data",
    "writer_id": "portal.writer.id",
}


class Entry(Protocol):
    occurred_at: datetime
    action: str
    data: Any


def document(entry: Entry) -> dict[str, Any]:
    """Return the document; empty fields are left out, `@timestamp` has microseconds and ends in Z."""
    moment = entry.occurred_at.astimezone(UTC)
    fields: dict[str, Any] = {
        "@timestamp": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
        "ecs.version": "8.17",
    }
    for attribute, name in FIELDS.items():
        value = getattr(entry, attribute)
        if value not in (None, "", [], {}):
            fields[name] = str(value) if attribute == "uid" else value
    if word := OWASP.get(entry.action):
        fields["labels.owasp"] = word
    if application := _application(entry.data):
        # Also outside `data`, which is dropped from a line that is too long: it would then look like our own.
        fields["event.provider"] = application
    return fields


def _application(data: Any) -> str:
    """Return the application that sent an entry; empty for the portal's own."""
    by = data.get("ingested_by") if isinstance(data, dict) else None
    return str(by.get("application", "")) if isinstance(by, dict) else ""
