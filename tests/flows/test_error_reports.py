"""The portal's own errors, sent by sentry-sdk to a real receiver: what arrives, and what must not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sentry_sdk
from pytest_django.live_server_helper import LiveServer

from monitoring import api_panels, scrape
from monitoring.tasks import poll_upstream
from portal import telemetry
from security import tokens
from tests.factories import make_upstream, make_user
from tests.receiver import Receiver
from tests.stack import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]
# Made of parts, because reports quote the lines of source around an error.
SECRET = "-".join(["hunter", "two", "of", "the", "test"])


@pytest.fixture
def reporting(receiver: Receiver) -> Iterator[Receiver]:
    """Report to the receiver as an installation with SENTRY_DSN does."""
    telemetry.start_sentry(receiver.dsn, release="1.2.3", environment="tests")
    yield receiver
    sentry_sdk.init(dsn=None)


def fail(*_args: Any, **_kwargs: Any) -> Any:
    raise RuntimeError("broken on purpose")


def arrived(receiver: Receiver, before: int) -> dict[str, Any]:
    sentry_sdk.flush(10)
    until(lambda: len(receiver.events()) > before, "no report arrived", 20)
    return receiver.events()[-1]


def test_an_error_in_a_view_arrives_without_the_secrets_of_its_request(
    reporting: Receiver, monkeypatch: pytest.MonkeyPatch, live_server: LiveServer
) -> None:
    monkeypatch.setattr(api_panels, "check_promql", fail)
    token = tokens.create(user=make_user(), name="test", scopes=["monitoring:write"])[1]
    before = len(reporting.events())
    reply = requests.post(
        f"{live_server.url}/api/v1/panels/?token={SECRET}&key={SECRET}&shown=yes",
        json={"slug": "a", "title": "a", "promql": "up", "password": SECRET},
        headers={"Authorization": f"Bearer {token}", "Cookie": f"portal_session={SECRET}"},
        timeout=30,
    )
    assert reply.status_code == 500
    event = arrived(reporting, before)
    assert (event["release"], event["environment"]) == ("devops-portal@1.2.3", "tests")
    assert event["exception"]["values"][-1]["value"] == "broken on purpose"
    assert event["request"]["url"].endswith("/api/v1/panels/")
    assert SECRET not in json.dumps(event)
    assert token not in json.dumps(event)


def test_an_error_in_a_task_arrives_without_the_credentials_of_its_upstream(
    reporting: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "fetch", fail)
    upstream = make_upstream(kind="prometheus", credentials={"token": SECRET})
    before = len(reporting.events())
    poll_upstream(upstream.pk)
    event = arrived(reporting, before)
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert SECRET not in json.dumps(event)
