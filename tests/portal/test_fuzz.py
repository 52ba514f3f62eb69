"""Generated requests to every operation of the API, as four roles: each answer is as the schema says.

FUZZ_EXAMPLES=100 tries so many of each operation and role, other ones each time.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
import schemathesis
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from alerts.notification_models import Notification
from audit import exports
from audit.export_models import SavedFilter
from audit.models import AuditEntry
from monitoring.models import Deploy, SavedSearch
from portal.core.models import Service
from security import blocks, subjects, tokens
from security.models import AllowEntry, SiemDestination
from security.siem import destinations
from tests.factories import (
    make_alert,
    make_channel,
    make_check,
    make_elasticsearch,
    make_error,
    make_flag,
    make_panel,
    make_route,
    make_rule,
    make_scrape_target,
    make_sentry,
    make_silence,
    make_upstream,
    make_user,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("trail")]
ROLES = {
    "viewer": ["read"],
    "responder": ["read", "alerts:write"],
    "auditor": ["read", "audit:read", "audit:write"],
    "administrator": ["admin"],
}
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 4)
# Answers as the schema says, with a type and a form that it knows, and never a 5xx: an upstream
# that is away is a 424.
PROMISES = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
# Ends the session of whoever fuzzes, or waits for servers that are not there.
LEFT_OUT = ("/api/v1/docs/",)


AWAY: dict[str, Any] = {"url": "http://127.0.0.1:9"}


def _kept(model: Any, user: User) -> Any:
    return model.objects.create(name="mine", owner=user, query={"last": "24h"}).pk


def _blocked(user: User) -> Any:
    ends = timezone.now() + timedelta(hours=1)
    return blocks.create(
        subjects.parse("address", "192.0.2.7"), expires_at=ends, reason="scan", actor=user
    ).pk


def _told(user: User) -> Any:
    facts = {"outcome": "failed", "reason": "first", "channel": make_channel()}
    return Notification.objects.create(batch=uuid.uuid4().hex, **facts).pk


# What an operation on one row is about; the row is there again for each operation.
MAKERS: dict[str, Callable[[User], Any]] = {
    "alerts": lambda _: make_alert(service=_shop(), upstream=make_upstream(**AWAY)).pk,
    "allow-list": lambda _: (
        AllowEntry.objects.get_or_create(kind="address", value="192.0.2.8", reason="x")[0].pk
    ),
    "audit/entries": lambda _: AuditEntry.objects.latest("id").pk,
    "audit/exports": lambda user: exports.create({}, actor=user).pk,
    "audit/filters": lambda user: _kept(SavedFilter, user),
    "blocks": _blocked,
    "channels": lambda _: make_channel().pk,
    "checks": lambda _: make_check(service=_shop(), timeout_seconds=0.2).pk,
    "deploys": lambda _: Deploy.objects.create(service=_shop(), version="v1", uid=uuid.uuid4()).pk,
    "detections/rules": lambda _: "scanner",
    "errors": lambda _: make_error(make_sentry(**AWAY), service=_shop()).pk,
    "flags": lambda _: make_flag().pk,
    "hooks/alertmanager": lambda _: make_upstream(**AWAY).name,
    "logs/searches": lambda user: _kept(SavedSearch, user),
    "notifications": _told,
    "panels": lambda _: make_panel().pk,
    "routes": lambda _: make_route(make_channel()).pk,
    "rules": lambda _: make_rule().pk,
    "scrape-targets": lambda _: make_scrape_target(_shop()).pk,
    "services": lambda _: _shop().slug,
    "siem-destinations": lambda _: (
        destinations.save(SiemDestination(name=uuid.uuid4().hex, url="syslog+tcp://127.0.0.1:9")).pk
    ),
    "silences": lambda _: make_silence().pk,
    "tokens": lambda user: tokens.create(user=user, name="other", scopes=["read"])[0].pk,
    "upstreams": lambda _: make_upstream(kind="prometheus", **AWAY).pk,
}


def _shop() -> Service:
    return Service.objects.get_or_create(slug="shop", defaults={"name": "Shop"})[0]


def operations() -> Iterator[Any]:
    generator: Any = SchemaGenerator
    document = generator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(dict(document))
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        if operation.path not in LEFT_OUT:
            yield operation


def send(client: Client, case: Any, key: Any) -> Response:
    """Send a generated request; its key becomes one that exists, so that views get past looking it up."""
    for name in case.path_parameters:
        case.path_parameters[name] = key
    made = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    body = made.body.encode() if isinstance(made.body, str) else made.body or b""
    kind = made.headers.get("Content-Type", "application/json")
    answer: Any = client.generic(str(made.method), str(made.path_url), body, content_type=kind)
    headers = {name.lower(): [str(value)] for name, value in answer.items()}
    return Response(answer.status_code, headers, answer.getvalue(), made, 0.0, verify=False)


def fuzzed(operation: Any, api: Client, key: Any) -> list[str]:
    """Return what was wrong with the answers to one operation."""
    failures: list[str] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize="FUZZ_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        try:
            case.validate_response(send(api, case, key), checks=PROMISES)
        except FailureGroup as group:
            asked = f"{case.method} {case.formatted_path} {case.query} {case.body!r}"[:600]
            failures.extend(f"{asked}: {wrong}" for wrong in group.exceptions)

    fuzz()
    return failures


@pytest.mark.parametrize("role", ROLES)
def test_every_answer_is_one_that_the_schema_promises(role: str) -> None:
    failures = list[str]()
    make_elasticsearch(**AWAY)
    for operation in operations():
        user = make_user()
        # A token and a row of its own for each: one may have been revoked by the request before.
        made = tokens.create(user=user, name=role, scopes=ROLES[role])[1]
        api = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {made}"})
        about, _, parameter = operation.path.removeprefix("/api/v1/").partition("/{")
        failures += fuzzed(operation, api, MAKERS[about](user) if parameter else None)
    assert not failures, "\n".join(failures)
