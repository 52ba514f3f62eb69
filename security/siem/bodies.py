"""Renders an entry as the body of a message: an ECS document as JSON, or a CEF event (pure)."""

import json
from collections.abc import Mapping
from typing import Any

# Fields that are left out first when a document is longer than a receiver accepts.
DISPENSABLE = (
    ("portal.changes", "portal.data", "portal.targets"),
    ("user_agent.original", "portal.source.chain", "user.roles"),
    ("event.reason", "url.path", "portal.target.name"),
)
CEF_SEVERITIES = {1: 1, 2: 3, 3: 5, 4: 7, 5: 9, 6: 10}
# ECS name -> CEF key. Fields without a CEF key go into its labelled custom strings.
_KEYS = {
    "event.id": "externalId",
    "event.action": "act",
    "event.outcome": "outcome",
    "event.provider": "sourceServiceName",
    "user.id": "suid",
    "user.name": "suser",
    "http.request.method": "requestMethod",
    "url.path": "request",
    "user_agent.original": "requestClientApplication",
    "event.reason": "reason",
}
_LABELLED = (
    ("cs1", "targetType", "portal.target.type"),
    ("cs2", "targetId", "portal.target.id"),
    ("cs3", "targetName", "portal.target.name"),
    ("cs4", "requestId", "http.request.id"),
    ("cs5", "traceId", "trace.id"),
    ("cs6", "eventCode", "event.code"),
)


def ecs(document: Mapping[str, Any], limit: int) -> str:
    """Return the document as one line of ASCII within `limit` octets; drop dispensable fields if necessary."""
    fields = dict(document)
    line = _json(fields)
    for names in DISPENSABLE:
        if len(line) <= limit:
            return line
        fields = {name: value for name, value in fields.items() if name not in names}
        line = _json({**fields, "portal.truncated": True})
    return line


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"), default=str)


def cef(document: Mapping[str, Any], *, version: str) -> str:
    """Return the event in ArcSight's Common Event Format, version 0."""
    action = str(document.get("event.action", ""))
    words = action.replace(".", " ").replace("_", " ")
    severity = CEF_SEVERITIES.get(int(document.get("event.severity", 1)), 1)
    head = "|".join(
        [
            "CEF:0",
            "DevOps Portal",
            "devops-portal",
            version,
            _head(action),
            _head(words),
            str(severity),
        ]
    )
    pairs = [("end", document["@timestamp"])]
    pairs += [(key, document[name]) for name, key in _KEYS.items() if name in document]
    if source := str(document.get("source.ip", "")):
        is_v6 = ":" in source
        pairs += (
            [("c6a2Label", "Source IPv6 Address"), ("c6a2", source)] if is_v6 else [("src", source)]
        )
    for key, label, name in _LABELLED:
        if name in document:
            pairs += [(f"{key}Label", label), (key, document[name])]
    return f"{head}|" + " ".join(f"{key}={_value(value)}" for key, value in pairs)


def _head(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def _value(value: Any) -> str:
    text = str(value).replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\r", "\\r").replace("\n", "\\n")
