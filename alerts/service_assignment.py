"""Assigns open alerts to services again after the service catalogue has changed.

An alert gets its service when it opens or changes. Without this, a service that is added, discovered
or given other matchers later would not show the alerts that already fire.
"""

from collections import defaultdict

from django.core.cache import cache
from django.db import connection, transaction
from redis.exceptions import RedisError

from alerts import rerouting
from alerts.models import Alert, AlertQuerySet
from portal.core import locks
from portal.core.catalogue import Catalogue
from portal.core.models import Upstream

LOCK = 0x706F7274616C02  # key of the advisory lock in PostgreSQL
CATALOGUE_KEY = "alert-ties"
REMEMBERED_SECONDS = 24 * 3600
BATCH = 1000  # alerts updated under one lock
CATALOGUE_SQL = """
SELECT md5(coalesce(string_agg(concat_ws(' ', id, slug, array_to_json(matchers)), ',' ORDER BY id), ''))
FROM core_service
"""


def reassign_if_changed() -> int:
    """Correct the service of open alerts if the catalogue has changed; return how many were corrected.

    One worker at a time: with thousands of alerts and services it takes longer than the next ticks may wait.
    """
    if _applied_hash() == _catalogue_hash():
        return 0
    with locks.alone(LOCK) as is_alone:
        return _reassign_all() if is_alone else 0


def _reassign_all() -> int:
    """Correct the alerts of all upstreams, unless another worker has just done so.

    The portal's own alerts are left alone: the code that raises them names the service.
    """
    catalogue = _catalogue_hash()
    if _applied_hash() == catalogue:
        return 0
    watched = Alert.objects.open().exclude(upstream__kind=Upstream.Kind.PORTAL).order_by()
    moved = sum(map(_reassign, watched.values_list("upstream_id", flat=True).distinct()))
    _remember(catalogue)
    return moved


def _reassign(upstream_id: int) -> int:
    """Correct the alerts of one upstream.

    They are searched without holding its lock, which polls and webhooks wait for: matching thousands of
    alerts with hundreds of services takes seconds. A writer that starts meanwhile uses the new catalogue.
    """
    with transaction.atomic():
        _lock(upstream_id)  # wait for a writer that still uses the old catalogue
    mine = Alert.objects.open().filter(upstream_id=upstream_id)
    wrong = [pk for pks in _misassigned(mine).values() for pk in pks]
    return sum(_correct(upstream_id, wrong[n : n + BATCH]) for n in range(0, len(wrong), BATCH))


@transaction.atomic
def _correct(upstream_id: int, alert_ids: list[int]) -> int:
    """Correct those of the alerts that are still misassigned; return how many."""
    _lock(upstream_id)
    mine = Alert.objects.open().filter(upstream_id=upstream_id, pk__in=alert_ids)
    # Locked in the order of their ids, as everywhere else, which rules out a deadlock.
    list(mine.order_by("pk").select_for_update(of=("self",)).values_list("pk"))
    moved = _misassigned(mine)
    for service_id, pks in moved.items():
        Alert.objects.filter(pk__in=pks).update(service_id=service_id)
    return sum(map(len, moved.values()))


def _lock(upstream_id: int) -> None:
    """Take the row lock that polls and webhooks of the upstream take, until the transaction ends."""
    list(Upstream.objects.select_for_update().filter(pk=upstream_id).values_list("pk"))


def _misassigned(alerts: AlertQuerySet) -> dict[int | None, list[int]]:
    """Return the ids of alerts with a wrong service, by the id of the right one."""
    catalogue, moved = Catalogue.load(), defaultdict[int | None, list[int]](list)
    for pk, service_id, labels in alerts.values_list("pk", "service_id", "labels").iterator():
        if (right_id := catalogue.service_id(labels)) != service_id:
            moved[right_id].append(pk)
    return moved


def _catalogue_hash() -> str:
    """Return a hash of everything in the catalogue that decides the service of an alert."""
    with connection.cursor() as cursor:
        cursor.execute(CATALOGUE_SQL)
        return str(cursor.fetchone()[0])


def _applied_hash() -> str | None:
    """Return the catalogue hash that alerts were last assigned by; None when it is unknown."""
    try:
        applied: str | None = cache.get(CATALOGUE_KEY)
    except (RedisError, OSError):
        return None
    return applied


def _remember(catalogue: str) -> None:
    """Request rerouting, as routes may match the service or its team, then store the applied hash.

    This also happens when this run corrected nothing: the run that did may have been killed before this
    point. When Redis is down, the next tick does both again.
    """
    try:
        rerouting.request_reroute()
        cache.set(CATALOGUE_KEY, catalogue, timeout=REMEMBERED_SECONDS)
    except (RedisError, OSError):
        return
