"""Resolve, ignore, reopen and assign: in Sentry first, then here, and in the audit trail."""

from collections.abc import Iterator

import pytest
from django.core.exceptions import ValidationError

from monitoring.errors import services
from monitoring.models import ErrorIssue, ErrorTransition
from monitoring.tasks import poll_upstream
from portal.core.http import UpstreamError
from tests.conftest import Trail
from tests.factories import make_sentry, make_user
from tests.sentry import FakeSentry, fake_sentry, wire_issue

# A refusal is audited on a second connection, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sentry() -> Iterator[FakeSentry]:
    with fake_sentry() as fake:
        yield fake


@pytest.fixture
def issue(sentry: FakeSentry) -> ErrorIssue:
    sentry.add(wire_issue(1))
    poll_upstream(make_sentry(sentry.url).pk)
    return ErrorIssue.objects.select_related("upstream").get()


@pytest.mark.parametrize("dialect", ["sentry", "glitchtip"])
@pytest.mark.parametrize(
    "verb, status", [("resolve", "resolved"), ("ignore", "ignored")], ids=["resolve", "ignore"]
)
def test_the_status_is_changed_there_and_here(
    sentry: FakeSentry, issue: ErrorIssue, trail: Trail, verb: str, status: str, dialect: str
) -> None:
    sentry.dialect = dialect
    user = make_user(username="ann")
    result = getattr(services, verb)([issue], actor=user, text="Fixed by a release")
    assert result.changed == 1
    assert sentry.bodies == [{"status": status}]
    assert ErrorIssue.objects.get().status == status
    step = ErrorTransition.objects.get(source="user")
    assert (step.kind, step.actor, step.text) == (status, "ann", "Fixed by a release")
    entry = trail()[-1]
    assert (entry.action, entry.actor_name, entry.outcome) == (f"error.{status}", "ann", "success")


def test_a_server_that_takes_a_change_without_a_word_is_believed(
    sentry: FakeSentry, issue: ErrorIssue
) -> None:
    sentry.silent = True
    assert services.resolve([issue], actor=None).changed == 1
    assert ErrorIssue.objects.get().status == "resolved"


def test_the_next_poll_finds_nothing_to_say_about_it(sentry: FakeSentry, issue: ErrorIssue) -> None:
    services.resolve([issue], actor=None)
    poll_upstream(issue.upstream_id)
    assert ErrorIssue.objects.get().status == "resolved"
    kinds = ErrorTransition.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["new", "resolved"]


def test_once_is_enough(sentry: FakeSentry, issue: ErrorIssue) -> None:
    services.resolve([issue], actor=None)
    again = services.resolve([ErrorIssue.objects.get()], actor=None)
    assert (
        again.sentence("resolved")
        == "0 errors resolved, 1 unchanged: already in that state, or gone from Sentry."
    )
    assert len(sentry.bodies) == 1


def test_somebody_else_was_first(sentry: FakeSentry, issue: ErrorIssue, trail: Trail) -> None:
    ErrorIssue.objects.update(status="resolved")
    assert services.resolve([issue], actor=None).changed == 0
    assert not ErrorTransition.objects.filter(source="user").exists()


@pytest.mark.parametrize(
    "status, words", [(403, "event:write"), (404, "no longer has this issue"), (500, "HTTP 500")]
)
def test_what_sentry_refuses_changes_nothing_and_is_audited(
    sentry: FakeSentry, issue: ErrorIssue, trail: Trail, status: int, words: str
) -> None:
    sentry.refuse = status
    with pytest.raises(UpstreamError, match=words):
        services.resolve([issue], actor=None)
    assert ErrorIssue.objects.get().status == "unresolved"
    entry = trail()[-1]
    assert (entry.action, entry.outcome) == ("error.resolved", "failure")
    assert words in entry.reason


def test_assign_and_take_away(sentry: FakeSentry, issue: ErrorIssue, trail: Trail) -> None:
    services.assign([issue], to=" ann@example.org ", actor=None)
    assert sentry.bodies == [{"assignedTo": "ann@example.org"}]
    assert ErrorIssue.objects.get().assigned_to == "ann@example.org"
    services.assign([ErrorIssue.objects.get()], to="", actor=None)
    assert ErrorIssue.objects.get().assigned_to == ""
    assert [e.action for e in trail()[-2:]] == ["error.assigned", "error.unassigned"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_server_that_cannot_assign_is_not_believed(
    sentry: FakeSentry, issue: ErrorIssue, trail: Trail, fails: bool
) -> None:
    sentry.dialect, sentry.fails_without_status = "glitchtip", fails
    with pytest.raises(UpstreamError, match="GlitchTip cannot assign"):
        services.assign([issue], to="team:3", actor=None)
    assert ErrorIssue.objects.get().assigned_to == ""
    assert trail()[-1].outcome == "failure"


@pytest.mark.parametrize("name", ["a" * 201, "ann\x00", "ann\nbob"])
def test_a_name_that_is_none_is_refused_here(issue: ErrorIssue, name: str) -> None:
    with pytest.raises(ValidationError, match="e-mail address"):
        services.assign([issue], to=name, actor=None)
