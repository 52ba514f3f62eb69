"""Who may do what by API: every operation of the schema against every scope; a new one needs a row here."""

import re
from functools import cache
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from security import tokens
from security.models import Scope
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PLACE = re.compile(r"\{[a-z_]+\}")
OPEN = {"/api/v1/schema/", "/api/v1/docs/"}
# Beginning of the path: the scope that reads, the scope that writes. The longest that fits counts.
SCOPES: dict[str, tuple[str, str]] = {
    "alerts": ("read", "alerts:write"),
    "allow-list": ("read", "security:write"),
    "analytics": ("read", ""),
    "audit/entries": ("audit:read", "audit:write"),
    "audit/exports": ("audit:read", "audit:read"),
    "audit/filters": ("audit:read", "audit:read"),
    "blocks": ("read", "security:write"),
    "channels": ("read", "monitoring:write"),
    "checks": ("read", "monitoring:write"),
    "dashboard": ("read", ""),
    "deploys": ("read", "monitoring:write"),
    "detections": ("read", "security:write"),
    "discovery/prometheus": ("read metrics", ""),
    "doctor": ("", "monitoring:write"),
    "errors": ("read", "monitoring:write"),
    "flags": ("read", "security:write"),
    "hooks": ("", "alerts:write"),
    "logs": ("read", "monitoring:write"),
    "metrics": ("read", ""),
    "notifications": ("read", "monitoring:write"),
    "panels": ("read", "monitoring:write"),
    "routes": ("read", "monitoring:write"),
    "rules": ("read", "monitoring:write"),
    "scrape-targets": ("read", "monitoring:write"),
    "services": ("read", "monitoring:write"),
    "siem-destinations": ("audit:read", "security:write"),
    "silences": ("read", "alerts:write"),
    "timeline": ("read", ""),
    "tokens": ("security:write", "security:write"),
    "upstreams": ("read", "monitoring:write"),
}


@cache
def operations() -> list[tuple[str, str]]:
    """Return method and address of every operation, its places filled in with what is not there."""
    document: Any = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    found = [(method, path) for path, methods in document["paths"].items() for method in methods]
    return [
        (m, PLACE.sub("987654", path.replace("{rule}", "scanner")))
        for m, path in found
        if path not in OPEN
    ]


def needed(method: str, path: str) -> set[str]:
    fits = [name for name in SCOPES if path.startswith(f"/api/v1/{name}/")]
    assert fits, f"{path} has no row in SCOPES: say who may read and who may write it"
    reads, writes = SCOPES[max(fits, key=len)]
    return set((reads if method == "get" else writes).split())


def status(client: Client, method: str, path: str) -> int:
    call = getattr(client, method)
    answer = call(path) if method == "get" else call(path, "{}", content_type="application/json")
    return int(answer.status_code)


def test_without_a_token_nothing_answers() -> None:
    client = Client()
    answers = {operation: status(client, *operation) for operation in operations()}
    assert {op: code for op, code in answers.items() if code not in (401, 403)} == {}


@pytest.mark.parametrize("scope", sorted(set(Scope.values) - {"admin"}))
def test_a_scope_opens_what_it_is_for_and_no_more(scope: str) -> None:
    wrong = []
    for number, (method, path) in enumerate(operations()):
        if number % 100 == 0:  # each may ask so often in a minute
            written = tokens.create(user=make_user(), name=scope, scopes=[scope])[1]
            client = Client(
                headers={"Authorization": f"Bearer {written}"}, raise_request_exception=False
            )
        code = status(client, method, path)
        if (code == 403) is (scope in needed(method, path)):
            wrong.append((method, path, code))
    assert wrong == []
