"""What is wrong with a server that answers: certificate, webhook (tables)."""

from datetime import UTC, datetime, timedelta

import pytest

from monitoring import diagnosis

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "http://portal/api/v1/hooks/alertmanager/am/"


@pytest.mark.parametrize(
    "days, words",
    [(None, ""), (90, ""), (15, ""), (13, "in 13 days"), (0.5, "in 0 days"), (-3, "expired on")],
)
def test_a_certificate(days: float | None, words: str) -> None:
    ends = None if days is None else NOW + timedelta(days=days)
    said = diagnosis.certificate_ends(ends, host="am:9093", at=NOW)
    assert words in said
    assert bool(said) == bool(words)


def ago(minutes: float | None) -> datetime | None:
    return None if minutes is None else NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "has_hook, firing, delivered, words",
    [
        (False, None, None, "Add a receiver"),
        (False, 60, 1, "Add a receiver"),
        (True, None, None, ""),
        (None, None, None, ""),
        (True, 10, None, ""),
        (True, 20, None, "no webhook of this Alertmanager has arrived"),
        (None, 20, None, "no webhook of this Alertmanager has arrived"),
        (True, 20, 19, ""),
        (True, 20, 60, "no webhook of this Alertmanager has arrived"),
    ],
)
def test_a_webhook(
    has_hook: bool | None, firing: float | None, delivered: float | None, words: str
) -> None:
    said = diagnosis.webhook(
        has_hook=has_hook, firing_since=ago(firing), last_delivery=ago(delivered), url=URL, at=NOW
    )
    assert words in said
    assert bool(said) == bool(words)
    assert not said or URL in said


@pytest.mark.parametrize(
    "status, url, words",
    [
        (404, "http://m:9090", "has a path prefix, such as http://m:9090/prometheus."),
        (404, "http://m/prom/", "The URL ends in /prom: remove that"),
        (500, "http://m:9090", "It failed."),
        (None, "http://m:9090", "It failed."),
    ],
)
def test_a_path(status: int | None, url: str, words: str) -> None:
    assert diagnosis.hinted("It failed.", status, url).endswith(words) or words in diagnosis.hinted(
        "It failed.", status, url
    )
