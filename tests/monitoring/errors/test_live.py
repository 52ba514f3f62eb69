"""The same against a real Sentry or GlitchTip with at least one unresolved issue of the kind error.

Runs when TEST_SENTRY_URL, TEST_SENTRY_ORG and TEST_SENTRY_TOKEN name one; it resolves an issue and opens it again.
"""

import os

import pytest

from monitoring import connection_test
from monitoring.errors import services
from monitoring.models import ErrorIssue
from monitoring.sentry import Sentry
from monitoring.tasks import poll_upstream
from portal.core.http import UpstreamError
from portal.core.models import Upstream
from tests.factories import make_sentry

SERVER = os.environ.get("TEST_SENTRY_URL", "")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.stack,
    pytest.mark.skipif(
        not SERVER, reason="skipped: TEST_SENTRY_URL names no Sentry or GlitchTip to ask."
    ),
]


@pytest.fixture
def upstream() -> Upstream:
    upstream = make_sentry(
        SERVER, live=False, credentials={"token": os.environ["TEST_SENTRY_TOKEN"]},
        options={"organization": os.environ["TEST_SENTRY_ORG"]},
    )  # fmt: skip
    poll_upstream(upstream.pk)
    upstream.refresh_from_db()
    assert upstream.error == ""
    return upstream


@pytest.fixture
def issue(upstream: Upstream) -> ErrorIssue:
    return ErrorIssue.objects.filter(status="unresolved").latest("last_seen_at")


def test_the_connection_test_names_the_organisation(upstream: Upstream) -> None:
    assert connection_test.run(upstream, actor=None).ok


def test_every_issue_becomes_a_row_and_stays_as_it_is(upstream: Upstream) -> None:
    before = dict(ErrorIssue.objects.values_list("issue_id", "content_hash"))
    assert len(before) >= upstream.observed["unresolved"] > 0
    poll_upstream(upstream.pk)
    assert dict(ErrorIssue.objects.values_list("issue_id", "content_hash")) == before


def test_the_latest_event_and_the_trend_can_be_read(upstream: Upstream, issue: ErrorIssue) -> None:
    with Sentry(upstream) as client:
        assert client.latest_event(issue.issue_id)
        client.trend(issue.issue_id, "24h")


def test_what_is_resolved_and_opened_again_here_is_so_there(
    upstream: Upstream, issue: ErrorIssue
) -> None:
    for act, status in ((services.resolve, "resolved"), (services.reopen, "unresolved")):
        assert act([issue], actor=None).changed == 1
        with Sentry(upstream) as client:
            listed = client.issue(issue.issue_id)
        assert listed is not None
        assert listed.issue.status == status


def test_a_token_that_is_none_is_told_so(upstream: Upstream) -> None:
    upstream.credentials = {"token": "0" * 64}
    with pytest.raises(UpstreamError, match="token"), Sentry(upstream) as client:
        client.issue("1")
