"""Generated requests to every operation of the API, as four roles: each answer is as the schema says.

FUZZ_EXAMPLES=100 tries so many of each operation and role, other ones each time.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from django.test import Client
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

from portal.core.models import Service
from security import tokens
from tests.factories import (
    make_alert,
    make_channel,
    make_check,
    make_error,
    make_flag,
    make_panel,
    make_route,
    make_sentry,
    make_service,
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


def fill() -> dict[str, Any]:
    """Make a row of most kinds and return their keys by the first word of the path."""
    away: dict[str, Any] = {"url": "http://127.0.0.1:9"}
    service, sentry = make_service(slug="shop"), make_sentry(**away)
    channel = make_channel()
    rows = {
        "alerts": make_alert(service=service, upstream=make_upstream(**away)),
        "silences": make_silence(),
        "panels": make_panel(),
        "checks": make_check(service=service, timeout_seconds=0.2),
        "errors": make_error(sentry, service=service),
        "flags": make_flag(),
        "channels": channel,
        "routes": make_route(channel),
        "upstreams": make_upstream(kind="prometheus", **away),
    }
    return {name: row.pk for name, row in rows.items()}


def operations() -> Iterator[Any]:
    generator: Any = SchemaGenerator
    document = generator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(dict(document))
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        if operation.path not in LEFT_OUT:
            yield operation


def send(client: Client, case: Any, known: dict[str, Any]) -> Response:
    """Send a generated request; an id becomes one that exists, so that views get past looking it up."""
    word = case.path.removeprefix("/api/v1/").partition("/")[0]
    if "id" in case.path_parameters and word in known:
        case.path_parameters["id"] = known[word]
    if "slug" in case.path_parameters:
        case.path_parameters["slug"] = "shop"
    made = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    body = made.body.encode() if isinstance(made.body, str) else made.body or b""
    kind = made.headers.get("Content-Type", "application/json")
    answer: Any = client.generic(str(made.method), str(made.path_url), body, content_type=kind)
    headers = {name.lower(): [str(value)] for name, value in answer.items()}
    return Response(answer.status_code, headers, answer.getvalue(), made, 0.0, verify=False)


def fuzzed(operation: Any, api: Client, known: dict[str, Any]) -> list[str]:
    """Return what was wrong with the answers to one operation."""
    failures: list[str] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize="FUZZ_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        try:
            case.validate_response(send(api, case, known), checks=PROMISES)
        except FailureGroup as group:
            asked = f"{case.method} {case.formatted_path} {case.query} {case.body!r}"[:600]
            failures.extend(f"{asked}: {wrong}" for wrong in group.exceptions)

    fuzz()
    return failures


@pytest.mark.parametrize("role", ROLES)
def test_every_answer_is_one_that_the_schema_promises(role: str) -> None:
    known, failures = fill(), list[str]()
    for operation in operations():
        # A token of its own for each: one may have been revoked by the request before.
        made = tokens.create(user=make_user(), name=role, scopes=ROLES[role])[1]
        api = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {made}"})
        failures += fuzzed(operation, api, known)
        Service.objects.get_or_create(slug="shop", defaults={"name": "Shop"})
    assert not failures, "\n".join(failures)
