"""Looks at due groups and writes what each channel is told, or why it is not told.

A look is one transaction: claim groups, read their alerts, decide (alerts.look), write
notifications, and note in the group what was said. The notification is the promise; sending it is
alerts.delivery's work.
"""

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.utils import timezone

from alerts.look import Look, decide
from alerts.models import State, Transition, TransitionKind
from alerts.notification_models import (
    Channel,
    GroupMember,
    Notification,
    NotificationGroup,
    load_rules,
)
from alerts.routing import Rule

log = logging.getLogger(__name__)
BATCH = 200
AFTER_FAILURE = timedelta(minutes=1)


def look_at_due(*, batches: int = 50) -> int:
    """Look at the groups that are due; return at how many."""
    done = 0
    for _ in range(batches):
        looked = _look_at_batch_or_each()
        done += looked
        if looked < BATCH:
            break
    return done


def _look_at_batch_or_each() -> int:
    """Look at a batch; when that fails, at each of its groups alone, so that one cannot stop the others."""
    try:
        return look_at_batch()
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        # Whatever it is: a channel deleted since, or a fault of ours with one group. Where the database is
        # away, the next statement says so.
        log.exception("A batch of groups could not be looked at; now one by one.")
    due = NotificationGroup.objects.filter(next_flush_at__lte=timezone.now())
    numbers = list(due.order_by("route_id", "key").values_list("pk", flat=True)[:BATCH])
    for number in numbers:
        try:
            look_at_batch(only=number)
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            log.exception("The group %d could not be looked at; tried again in a while.", number)
            rest = timezone.now() + AFTER_FAILURE
            NotificationGroup.objects.filter(pk=number).update(next_flush_at=rest)
    return len(numbers)


@transaction.atomic
def look_at_batch(*, only: int | None = None) -> int:
    """Look at one batch of due groups that no other worker holds, or at one group; return its size."""
    now = timezone.now()
    due = NotificationGroup.objects.filter(next_flush_at__lte=now).order_by("route_id", "key")
    due = due if only is None else due.filter(pk=only)
    groups = list(due.select_for_update(skip_locked=True)[:BATCH])
    if not groups:
        return 0
    rules = {rule.id: rule for rule in load_rules()}
    channels = Channel.objects.in_bulk({c for rule in rules.values() for c in rule.channels})
    looks = [_load_rule(group, rules, now) for group in groups]
    _load_alerts(looks)
    for look in looks:
        decide(look, channels)
    _insert([row for look in looks for row in look.rows])
    _update(groups)
    _forget_members(looks)
    return len(groups)


def _load_rule(group: NotificationGroup, rules: dict[int, Rule], now: datetime) -> Look:
    """A route that was switched off keeps its groups, without channels, until they are empty."""
    rule = rules.get(group.route_id) or Rule(id=group.route_id, name="")
    return Look(group, rule, now)


def _load_alerts(looks: Sequence[Look]) -> None:
    by_group = {look.group.pk: look for look in looks}
    members = GroupMember.objects.filter(group__in=by_group).select_related("alert__service")
    for member in members.order_by("id"):
        look = by_group[member.group_id]
        look.alerts[member.alert_id] = member.alert
        if member.transitions:
            look.fresh[member.alert_id] = member.transitions
    fresh = [number for look in looks for news in look.fresh.values() for number in news]
    severity = Transition.objects.filter(id__in=fresh, kind=TransitionKind.SEVERITY)
    changed = set(severity.values_list("alert_id", flat=True)) if fresh else set()
    for look in looks:
        look.changed = changed & look.fresh.keys()


_COLUMNS = [(field.attname, str(field.column)) for field in Notification._meta.concrete_fields
            if not field.primary_key]  # fmt: skip


def _insert(rows: Sequence[Notification]) -> None:
    """Add notifications by COPY; the lock on their groups rules out that they are there already."""
    if not rows:
        return
    names = ", ".join(column for _attribute, column in _COLUMNS)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY alerts_notification ({names}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([getattr(row, attribute) for attribute, _column in _COLUMNS])


def _update(groups: Sequence[NotificationGroup]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_notificationgroup g SET flush = v.flush, flushed_at = v.flushed_at,"
            " next_flush_at = v.next_flush_at, told = v.told FROM unnest(%s::bigint[], %s::int[],"
            " %s::timestamptz[], %s::timestamptz[], %s::jsonb[])"
            " AS v (id, flush, flushed_at, next_flush_at, told) WHERE g.id = v.id",
            [
                [group.pk for group in groups],
                [group.flush for group in groups],
                [group.flushed_at for group in groups],
                [group.next_flush_at for group in groups],
                [json.dumps(group.told) for group in groups],
            ],
        )


def _forget_members(looks: Sequence[Look]) -> None:
    """Resolved alerts leave their groups; of the others, the transitions are dealt with."""
    groups = [look.group.pk for look in looks]
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM alerts_groupmember m USING alerts_alert a"
            " WHERE m.group_id = ANY(%s) AND a.id = m.alert_id AND a.id = ANY(%s)",
            [groups, [pk for look in looks for pk in look.ids(State.RESOLVED) - look.kept]],
        )
        cursor.execute(
            "UPDATE alerts_groupmember SET transitions = '{}'"
            " WHERE group_id = ANY(%s) AND transitions <> '{}'",
            [groups],
        )
