"""The portal's own error reports: sent when a DSN is set, without secrets; nothing otherwise."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from portal import telemetry
from portal.core.logs import EcsFormatter

# Made up of parts, because reports quote the lines of source around an error.
SECRETS = {
    name: "hunter" + str(index) + "!"
    for index, name in enumerate(("password", "otp_token", "credentials"))
}
DSN = "https://key@errors.example/1"


class Kept(Transport):
    """Stands for the ingest server: keeps what would be sent."""

    sent: list[dict[str, Any]]

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event:
            type(self).sent.append(dict(event))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    Kept.sent = []
    real = sentry_sdk.init
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: real(**options, transport=Kept))
    yield Kept.sent
    real(dsn=None)


def test_nothing_is_started_without_a_dsn(sent: list[dict[str, Any]]) -> None:
    telemetry.start_sentry("", release="1", environment="test")
    sentry_sdk.capture_message("lost")
    assert not sent


def test_an_error_is_reported_with_release_and_without_secrets(sent: list[dict[str, Any]]) -> None:
    telemetry.start_sentry(DSN, release="1.2.3", environment="test")
    for name, value in SECRETS.items():
        sentry_sdk.set_extra("form", {**SECRETS, "q": "kept"})
        sentry_sdk.set_tag("tested", name)
        try:
            fail_with(value)
        except RuntimeError as error:
            sentry_sdk.capture_exception(error)
    assert {event["release"] for event in sent} == {"devops-portal@1.2.3"}
    text = json.dumps(sent, default=str)
    assert "RuntimeError" in text
    assert "kept" in text
    assert [name for name, value in SECRETS.items() if value in text] == []


def fail_with(local_variable: str) -> None:
    raise RuntimeError(f"broken {len(local_variable)}")


def test_a_log_line_is_one_json_object_in_ecs_names() -> None:
    record = logging.LogRecord("portal.test", logging.WARNING, "f", 1, "a\nb %s", ("c",), None)
    record.__dict__["event.duration"] = 5
    line = EcsFormatter().format(record)
    assert "\n" not in line
    decoded = json.loads(line)
    assert (decoded["message"], decoded["log.level"], decoded["event.duration"]) == (
        "a\nb c",
        "warning",
        5,
    )
