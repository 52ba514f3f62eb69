"""Errors at a glance: what counts, what comes first, and when it happened."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring.errors.reconcile import hour_of
from monitoring.errors.summary import bars, error_summary
from monitoring.models import ErrorTally
from tests.factories import make_error, make_sentry, make_service

pytestmark = pytest.mark.django_db


def test_what_counts_as_new_regressed_and_affected() -> None:
    now, sentry = timezone.now(), make_sentry()
    fresh, old = now - timedelta(hours=23), now - timedelta(hours=25)
    make_error(sentry, first_seen_at=fresh, user_count=2)
    make_error(sentry, first_seen_at=old, regressed_at=fresh, user_count=3)
    make_error(sentry, first_seen_at=old, regressed_at=old, last_seen_at=old, user_count=100)
    make_error(sentry, first_seen_at=fresh, status="ignored", user_count=1000)
    found = error_summary(at=now)
    assert (found.unresolved, found.new, found.regressed, found.users) == (3, 1, 1, 5)


def test_the_most_frequent_come_first_and_only_what_happens_now() -> None:
    now, sentry = timezone.now(), make_sentry()
    for count in (3, 50, 7):
        make_error(sentry, count=count)
    make_error(sentry, count=9000, last_seen_at=now - timedelta(days=2))
    assert [issue.count for issue in error_summary(at=now).frequent] == [50, 7, 3]


def test_the_trend_is_24_hours_of_events_of_one_service_or_all() -> None:
    now, sentry, shop = timezone.now(), make_sentry(), make_service()
    for hours, events, service in ((0, 4, shop), (0, 1, None), (23, 2, shop), (24, 99, shop)):
        hour = hour_of(now) - timedelta(hours=hours)
        ErrorTally.objects.create(
            upstream=sentry, project="p", service=service, hour=hour, events=events
        )
    own = error_summary(at=now, service_id=shop.pk)
    assert [bar.events for bar in own.trend] == [2, *[0] * 22, 4]
    assert (own.events, error_summary(at=now).events) == (6, 7)


def test_an_hour_with_one_event_is_seen_beside_one_with_thousands() -> None:
    now = timezone.now()
    assert [bar.height for bar in bars([(now, 0), (now, 1), (now, 5000)])] == [0, 4, 100]
