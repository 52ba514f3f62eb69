"""Flushes due alert groups: writes which message each channel gets, or why it gets none.

A flush is one transaction: claim groups, read their alerts, decide (alerts.group_flush), write
notifications, and store in the group what was sent. alerts.delivery then sends the pending
notifications.
"""

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.utils import timezone

from alerts.group_flush import GroupFlush, decide
from alerts.models import State, Transition, TransitionKind
from alerts.notification_models import (
    Channel,
    GroupMember,
    Notification,
    NotificationGroup,
    load_rules,
)
from alerts.routing import RoutingRule

log = logging.getLogger(__name__)
BATCH = 200
RETRY_FAILED_AFTER = timedelta(minutes=1)


def flush_due(*, batches: int = 50) -> int:
    """Flush the groups that are due; return how many."""
    done = 0
    for _ in range(batches):
        flushed = _flush_batch_or_each()
        done += flushed
        if flushed < BATCH:
            break
    return done


def _flush_batch_or_each() -> int:
    """Flush a batch; when that fails, each of its groups alone, so that one cannot stop the others."""
    try:
        return flush_batch()
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        # For example a channel that was deleted meanwhile, or a bug that one group triggers. When the
        # database is down, the next statement raises.
        log.exception("A batch of groups could not be flushed; trying each of them alone.")
    due = NotificationGroup.objects.filter(next_flush_at__lte=timezone.now())
    numbers = list(due.order_by("route_id", "key").values_list("pk", flat=True)[:BATCH])
    for number in numbers:
        try:
            flush_batch(only=number)
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            log.exception("The group %d could not be flushed; it is retried later.", number)
            retry_at = timezone.now() + RETRY_FAILED_AFTER
            NotificationGroup.objects.filter(pk=number).update(next_flush_at=retry_at)
    return len(numbers)


@transaction.atomic
def flush_batch(*, only: int | None = None) -> int:
    """Flush one batch of due groups that no other worker holds, or the group `only`; return its size."""
    now = timezone.now()
    due = NotificationGroup.objects.filter(next_flush_at__lte=now).order_by("route_id", "key")
    due = due if only is None else due.filter(pk=only)
    groups = list(due.select_for_update(skip_locked=True)[:BATCH])
    if not groups:
        return 0
    rules = {rule.id: rule for rule in load_rules()}
    channels = Channel.objects.in_bulk({c for rule in rules.values() for c in rule.channels})
    flushes = [_load_rule(group, rules, now) for group in groups]
    _load_alerts(flushes)
    for flush in flushes:
        decide(flush, channels)
    _insert([row for flush in flushes for row in flush.rows])
    _update(groups)
    _clear_members(flushes)
    return len(groups)


def _load_rule(
    group: NotificationGroup, rules: dict[int, RoutingRule], now: datetime
) -> GroupFlush:
    """A disabled route keeps its groups, without channels, until they are empty."""
    rule = rules.get(group.route_id) or RoutingRule(id=group.route_id, name="")
    return GroupFlush(group, rule, now)


def _load_alerts(flushes: Sequence[GroupFlush]) -> None:
    by_group = {flush.group.pk: flush for flush in flushes}
    members = GroupMember.objects.filter(group__in=by_group).select_related("alert__service")
    for member in members.order_by("id"):
        flush = by_group[member.group_id]
        flush.alerts[member.alert_id] = member.alert
        if member.transitions:
            flush.unseen[member.alert_id] = member.transitions
    unseen = [number for flush in flushes for news in flush.unseen.values() for number in news]
    severity = Transition.objects.filter(id__in=unseen, kind=TransitionKind.SEVERITY)
    changed = set(severity.values_list("alert_id", flat=True)) if unseen else set()
    for flush in flushes:
        flush.changed = changed & flush.unseen.keys()


_COLUMNS = [
    (field.attname, str(field.column))
    for field in Notification._meta.concrete_fields
    if not field.primary_key
]


def _insert(rows: Sequence[Notification]) -> None:
    """Add notifications by COPY; the locks on their groups rule out duplicates."""
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


def _clear_members(flushes: Sequence[GroupFlush]) -> None:
    """Remove resolved alerts from their groups, and mark the transitions of the others as handled."""
    groups = [flush.group.pk for flush in flushes]
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM alerts_groupmember m USING alerts_alert a"
            " WHERE m.group_id = ANY(%s) AND a.id = m.alert_id AND a.id = ANY(%s)",
            [groups, [pk for flush in flushes for pk in flush.ids(State.RESOLVED) - flush.kept]],
        )
        cursor.execute(
            "UPDATE alerts_groupmember SET transitions = '{}'"
            " WHERE group_id = ANY(%s) AND transitions <> '{}'",
            [groups],
        )
