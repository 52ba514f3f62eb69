"""Several routers at once: groups are locked in one order, whatever leads an alert to them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from alerts import channels, router, routing
from alerts.models import Alert
from alerts.notification_models import GroupMember, NotificationGroup, Route, load_rules
from tests.factories import make_alert, make_channel, make_route, make_transition, make_upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moved() -> Iterator[tuple[Alert, Route, Route]]:
    """An alert that a group of the first route holds, and that the second route wants by now."""
    channel = make_channel()
    first, second = make_route(channel, matchers=['alertname="Disk"']), make_route(channel)
    alert = make_alert(upstream=make_upstream(), alertname="Disk")
    make_transition(alert)
    router.route_waiting()
    Route.objects.filter(pk=first.pk).update(matchers=['alertname="Other"'])
    make_transition(alert, "resolved")
    NotificationGroup.objects.update(next_flush_at=None)
    yield alert, first, second
    channels.delete(channel, actor=None)


def test_whoever_was_told_of_the_beginning_hears_of_the_end(
    moved: tuple[Alert, Route, Route],
) -> None:
    alert, first, second = moved
    router.route_waiting()
    groups = NotificationGroup.objects.filter(members__alert=alert)
    assert set(groups.values_list("route", flat=True)) == {first.pk, second.pk}
    assert not groups.filter(next_flush_at__isnull=True).exists()
    counts = [len(member.transitions) for member in GroupMember.objects.order_by("group__route")]
    assert counts == [2, 1]


def test_a_router_that_waits_for_a_group_holds_none_that_comes_after_it(
    moved: tuple[Alert, Route, Route],
) -> None:
    _alert, first, second = moved
    NotificationGroup.objects.create(route=second, key=_key_of(second), labels={})

    def route() -> int:
        try:
            return router.route_batch()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        NotificationGroup.objects.select_for_update().get(route=first)
        waiting = pool.submit(route)
        _until_somebody_waits()
        # What another router would do next, holding the first group. It must not have to wait.
        after = NotificationGroup.objects.select_for_update(nowait=True).filter(route=second)
        assert after.count() == 1
        assert len(list(after)) == 1
        transaction.set_rollback(True)
    assert waiting.result(20) == 1


def _key_of(route: Route) -> str:
    rule = next(rule for rule in load_rules() if rule.id == route.pk)
    return routing.group_key(routing.group_labels(rule, {"alertname": "Disk"}))


def _until_somebody_waits() -> None:
    for _ in range(400):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("Nobody waits for the lock.")


def test_the_last_of_very_many_routes_is_asked_as_well() -> None:
    channel = make_channel()
    Route.objects.bulk_create(
        Route(name=f"team-{n}", matchers=[f'team="team-{n}"']) for n in range(600)
    )
    last = make_route(channel, position=1000)
    alert = make_alert(upstream=make_upstream(), alertname="Disk")
    make_transition(alert)
    router.route_waiting()
    assert GroupMember.objects.get(alert=alert).group.route == last
    Route.objects.all().delete()
    channels.delete(channel, actor=None)
