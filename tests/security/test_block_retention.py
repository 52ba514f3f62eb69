"""Ended blocks: kept for a while, then forgotten in batches; lists and syncs cost the same however many."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from security import block_retention, crowdsec_remote
from security.crowdsec_payloads import Decision
from security.models import Block, BlockOrigin
from security.tasks import forget_ended_blocks
from tests.conftest import Trail
from tests.security.builders import make_enrolled, signed_in

pytestmark = pytest.mark.django_db


def make_ended(count: int, *, days_ago: float, origin: str, **over: Any) -> list[Block]:
    """Make blocks of one origin that ended so long ago."""
    ended = timezone.now() - timedelta(days=days_ago)
    facts: dict[str, Any] = {
        "kind": "address", "reason": "scan", "origin": origin, "created_by": "test", "ended_at": ended,
        "created_at": ended - timedelta(hours=4), "expires_at": ended, **over,
    }  # fmt: skip
    rows = [Block(value=f"198.51.{n // 250}.{n % 250}", **facts) for n in range(count)]
    return Block.objects.bulk_create(rows)


def decisions(count: int, *, first: int = 0) -> list[Decision]:
    values = (f"203.0.{n // 250}.{n % 250}" for n in range(first, first + count))
    return [
        Decision(first + n, value, False, timedelta(hours=4), "ssh-bf", "lists")
        for n, value in enumerate(values)
    ]


def test_each_origin_is_kept_for_its_own_time_and_the_run_leaves_one_entry(trail: Trail) -> None:
    make_ended(3, days_ago=8, origin=BlockOrigin.CROWDSEC)
    make_ended(2, days_ago=6, origin=BlockOrigin.CROWDSEC)
    make_ended(1, days_ago=8, origin=BlockOrigin.HAND)
    make_ended(1, days_ago=366, origin=BlockOrigin.RULE)
    forget_ended_blocks()
    assert sorted(Block.objects.values_list("origin", flat=True)) == [
        "crowdsec",
        "crowdsec",
        "hand",
    ]
    (entry,) = [entry for entry in trail() if entry.action == "block.forgotten"]
    assert entry.data["blocks"] == {"crowdsec": 3, "rule": 1}
    forget_ended_blocks()
    assert len([entry for entry in trail() if entry.action == "block.forgotten"]) == 1


def test_a_run_forgets_a_bounded_number_the_oldest_first() -> None:
    make_ended(4, days_ago=9, origin=BlockOrigin.CROWDSEC)
    old = make_ended(3, days_ago=20, origin=BlockOrigin.CROWDSEC)
    assert block_retention.forget_ended(at=timezone.now(), limit=3) == {"crowdsec": 3}
    assert not Block.objects.filter(pk__in=[block.pk for block in old]).exists()
    assert Block.objects.count() == 4


def test_active_blocks_and_what_crowdsec_must_still_hear_stay(settings: Any) -> None:
    settings.BLOCK_RETENTION_DAYS = 1
    now = timezone.now()
    untold = {
        "pushed_at": now,
        "pushed_until": now + timedelta(days=9),
        "expires_at": now + timedelta(days=9),
    }
    make_ended(1, days_ago=5, origin=BlockOrigin.HAND, **untold)
    make_ended(1, days_ago=5, origin=BlockOrigin.RULE, ended_at=None)
    assert block_retention.forget_ended(at=now) == {}
    later = now + timedelta(days=10)
    assert block_retention.forget_ended(at=later) == {"hand": 1}


def test_zero_days_keep_all(settings: Any) -> None:
    settings.BLOCK_RETENTION_DAYS = settings.CROWDSEC_RETENTION_DAYS = 0
    make_ended(1, days_ago=900, origin=BlockOrigin.CROWDSEC)
    assert block_retention.forget_ended(at=timezone.now()) == {}


def statements_of_syncs(count: int, *, at: datetime) -> list[int]:
    """Return the statements of a first sync, a change and a start anew with `count` decisions."""
    counted = []
    calls = [
        (decisions(count), [], True),
        (decisions(count, first=count), decisions(count), False),
        (decisions(count, first=count // 2), [], True),
    ]
    for new, gone, startup in calls:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            crowdsec_remote.apply(new, gone, startup=startup, at=at)
        counted.append(len(seen))
    return counted


def test_a_sync_takes_the_same_statements_for_a_long_list() -> None:
    few = statements_of_syncs(4, at=timezone.now())
    Block.objects.all().delete()
    assert statements_of_syncs(2_000, at=timezone.now()) == few
    open_now = Block.objects.filter(ended_at__isnull=True)
    assert open_now.count() == 2_000
    assert not open_now.filter(remote_id__lt=1_000).exists()


@pytest.mark.parametrize(
    "query", ["", "?state=ended", "?state=all", "?state=all&origin__exact=crowdsec"]
)
def test_the_list_takes_the_same_statements_with_a_long_history(query: str) -> None:
    client, url = signed_in(make_enrolled()), f"/admin/security/block/{query}"

    def statements() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url).status_code == 200
        return len(seen)

    make_ended(2, days_ago=1, origin=BlockOrigin.CROWDSEC)
    crowdsec_remote.apply(decisions(2), [], startup=False, at=timezone.now())
    few = statements()
    make_ended(1_500, days_ago=1, origin=BlockOrigin.CROWDSEC)
    crowdsec_remote.apply(decisions(1_500), [], startup=False, at=timezone.now())
    assert statements() == few


def test_forgetting_and_listing_are_served_by_an_index() -> None:
    make_ended(2_000, days_ago=1, origin=BlockOrigin.CROWDSEC)
    asked: dict[str, Any] = {
        "origin": "crowdsec",
        "before": timezone.now() - timedelta(days=7),
        "now": timezone.now(),
        "limit": 10,
    }
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE security_block")
        cursor.execute(f"EXPLAIN {block_retention.FORGET}", asked)
        assert "block_ended" in str(cursor.fetchall())
    newest = Block.objects.over(at=timezone.now()).order_by("-created_at", "-id")[:100]
    assert "block_newest" in newest.explain()


def test_the_api_tells_states_apart_without_the_admin() -> None:
    now = timezone.now()
    make_ended(1, days_ago=1, origin=BlockOrigin.CROWDSEC)
    make_ended(1, days_ago=1, origin=BlockOrigin.HAND, expires_at=now + timedelta(days=1))
    client: Client = signed_in(make_enrolled())
    for state in ("expired", "lifted"):
        rows = client.get(f"/api/v1/blocks/?state={state}").json()["results"]
        assert [row["state"] for row in rows] == [state]
