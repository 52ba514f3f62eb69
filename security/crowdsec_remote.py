"""Imports CrowdSec's decisions as blocks, with a fixed number of statements for a list of any length."""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F

from audit import services as audit
from portal.core import sanitize
from portal.core.request_context import SYSTEM
from security import crowdsec_payloads as payloads
from security import gate_store
from security.crowdsec_payloads import Decision
from security.models import Block, BlockOrigin, SubjectKind
from security.subjects import parse

THEIR_END = "CrowdSec"  # recorded as who ended a block that CrowdSec no longer lists
UPSERT = """
INSERT INTO security_block (kind, value, name, reason, origin, created_at, created_by, expires_at, ended_by, end_reason,
    remote_id)
SELECT kind, value, '', reason, 'crowdsec', %(now)s, who, expires, '', '', remote
FROM unnest(%(kinds)s::text[], %(values)s::text[], %(reasons)s::text[], %(who)s::text[], %(expires)s::timestamptz[],
    %(remotes)s::bigint[])
    AS given (kind, value, reason, who, expires, remote)
-- What somebody lifted here stays lifted for as long as CrowdSec repeats that decision.
WHERE NOT EXISTS (
    SELECT FROM security_block AS lifted
    WHERE lifted.value = given.value AND lifted.kind = given.kind AND lifted.origin = 'crowdsec'
        AND lifted.remote_id = given.remote AND lifted.ended_at < lifted.expires_at
        AND lifted.ended_by <> %(their_end)s
)
ON CONFLICT (kind, value, origin) WHERE ended_at IS NULL DO UPDATE
SET expires_at = excluded.expires_at, reason = excluded.reason, remote_id = excluded.remote_id
WHERE security_block.remote_id IS DISTINCT FROM excluded.remote_id
"""


# An anti-join, because PostgreSQL 14 would compare each row with each value of a NOT IN.
END_UNLISTED = """
UPDATE security_block SET ended_at = %(now)s, ended_by = %(their_end)s
WHERE origin = 'crowdsec' AND ended_at IS NULL
    AND NOT EXISTS (SELECT FROM unnest(%(values)s::text[]) AS listed (value) WHERE listed.value = security_block.value)
"""
END_DELETED = """
UPDATE security_block SET ended_at = %(now)s, ended_by = %(their_end)s
WHERE origin = 'crowdsec' AND ended_at IS NULL AND remote_id = ANY(%(ids)s::bigint[])
"""


@transaction.atomic
def apply(new: list[Decision], gone: list[Decision], *, startup: bool, at: datetime) -> int:
    """Make the imported blocks match the server's decisions; return how many changed."""
    wanted = _usable(new)
    Block.objects.elapsed(at=at).filter(origin=BlockOrigin.CROWDSEC).update(
        ended_at=F("expires_at")
    )
    with connection.cursor() as cursor:
        if startup:
            cursor.execute(
                END_UNLISTED, {"now": at, "values": list(wanted), "their_end": THEIR_END}
            )
        else:
            cursor.execute(
                END_DELETED, {"now": at, "ids": [d.id for d in gone], "their_end": THEIR_END}
            )
        ended = int(cursor.rowcount)
        cursor.execute(UPSERT, _columns(list(wanted.values()), at))
        changed = int(cursor.rowcount)
    if ended or changed:
        facts = {"blocked": changed, "ended": ended}
        audit.record(
            "block.synchronised", actor=SYSTEM, target=audit.Target("crowdsec"), data=facts
        )
        gate_store.write_after_commit()
    return ended + changed


def _columns(rows: list[Decision], at: datetime) -> dict[str, Any]:
    """Return the decisions as the arrays that UPSERT takes."""
    return {
        "now": at, "their_end": THEIR_END, "values": [d.value for d in rows], "remotes": [d.id for d in rows],
        "kinds": [SubjectKind.NETWORK.value if d.is_network else SubjectKind.ADDRESS.value for d in rows],
        "reasons": [sanitize.line(d.reason, 500) or "a decision of CrowdSec" for d in rows],
        "who": [sanitize.line(d.origin, 200) or "CrowdSec" for d in rows],
        "expires": [at + d.left for d in rows],
    }  # fmt: skip


def _usable(new: list[Decision]) -> dict[str, Decision]:
    """Return the longest decision per value, without our own and without those that cannot be stored."""
    found: dict[str, Decision] = {}
    for decision in sorted(new, key=lambda d: d.left):
        if decision.origin == payloads.ORIGIN or decision.left <= timedelta(seconds=1):
            continue
        try:
            refuse = parse(
                SubjectKind.NETWORK if decision.is_network else SubjectKind.ADDRESS, decision.value
            )
        except ValidationError:
            continue
        found[refuse.value] = decision
    return found
