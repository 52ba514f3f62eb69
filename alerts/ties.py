"""Ties open alerts to the service they belong to now: the catalogue may have changed since they began.

An alert is given its service when it opens or changes. A service that is made, found or given other
matchers afterwards would be without what fires already.
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

LOCK = 0x706F7274616C02  # names the lock in PostgreSQL
KEY = "alert-ties"
SECONDS = 24 * 3600
BATCH = 1000  # corrected under one lock
CATALOGUE_SQL = """
SELECT md5(coalesce(string_agg(concat_ws(' ', id, slug, array_to_json(matchers)), ',' ORDER BY id), ''))
FROM core_service
"""


def tie() -> int:
    """Correct the service of open alerts when the catalogue has changed; return of how many.

    By one worker at a time: with thousands of both it takes a while, in which the next ticks have other work.
    """
    if _tied() == _catalogue():
        return 0
    with locks.alone(LOCK) as is_alone:
        return _tie_all() if is_alone else 0


def _tie_all() -> int:
    """Correct all upstreams, unless another worker just has.

    The portal's own alerts are left alone: whoever raised them said which service they are about.
    """
    catalogue = _catalogue()
    if _tied() == catalogue:
        return 0
    watched = Alert.objects.open().exclude(upstream__kind=Upstream.Kind.PORTAL).order_by()
    moved = sum(map(_tie, watched.values_list("upstream_id", flat=True).distinct()))
    _settle(catalogue)
    return moved


def _tie(upstream_id: int) -> int:
    """Correct the alerts of one upstream.

    Which they are is found without its lock, which polls and webhooks wait for: thousands of alerts
    against hundreds of services take seconds. Whoever begins to write meanwhile goes by the catalogue of now.
    """
    with transaction.atomic():
        _lock(upstream_id)  # who is about to write what the catalogue said before, is waited for
    mine = Alert.objects.open().filter(upstream_id=upstream_id)
    strayed = [pk for pks in _strayed(mine).values() for pk in pks]
    return sum(_correct(upstream_id, strayed[n : n + BATCH]) for n in range(0, len(strayed), BATCH))


@transaction.atomic
def _correct(upstream_id: int, numbers: list[int]) -> int:
    """Correct these, as far as they still belong elsewhere, and return how many."""
    _lock(upstream_id)
    mine = Alert.objects.open().filter(upstream_id=upstream_id, pk__in=numbers)
    # Locked in the order of their numbers, as polls and people do, so that none waits in a circle.
    list(mine.order_by("pk").select_for_update(of=("self",)).values_list("pk"))
    moved = _strayed(mine)
    for belongs, pks in moved.items():
        Alert.objects.filter(pk__in=pks).update(service_id=belongs)
    return sum(map(len, moved.values()))


def _lock(upstream_id: int) -> None:
    """Wait for the lock of an upstream's polls and webhooks, and hold it for this transaction."""
    list(Upstream.objects.select_for_update().filter(pk=upstream_id).values_list("pk"))


def _strayed(alerts: AlertQuerySet) -> dict[int | None, list[int]]:
    """Return the alerts that belong to another service than they have, by the one they belong to."""
    catalogue, moved = Catalogue.load(), defaultdict[int | None, list[int]](list)
    for pk, service_id, labels in alerts.values_list("pk", "service_id", "labels").iterator():
        if (belongs := catalogue.service_id(labels)) != service_id:
            moved[belongs].append(pk)
    return moved


def _catalogue() -> str:
    """Return what changes when an alert may belong to another service."""
    with connection.cursor() as cursor:
        cursor.execute(CATALOGUE_SQL)
        return str(cursor.fetchone()[0])


def _tied() -> str | None:
    try:
        tied: str | None = cache.get(KEY)
    except (RedisError, OSError):
        return None
    return tied


def _settle(catalogue: str) -> None:
    """Remember what was tied to, after the routes were told: they may ask for the service, or its team.

    Also where this run moved nothing: the one that did may have been killed before it came here. Without
    Redis the next tick does both once more.
    """
    try:
        rerouting.look_again()
        cache.set(KEY, catalogue, timeout=SECONDS)
    except (RedisError, OSError):
        return
