"""Writes audit entries that other applications send, marked with the sender, each at most once.

Sending a batch again is harmless: the `uid`s of the last week are stored per application, in the same
transaction as the entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from audit import bulk, services
from audit.ingest_models import IngestedUid
from audit.models import AuditEntry
from audit.services import Target
from portal.core import request_context
from portal.core.request_context import Actor, Context

UIDS_KEPT = timedelta(days=7)
# A larger difference, due to a wrong clock or a late entry, is recorded in the entry.
NOTED_SKEW = timedelta(minutes=5)

CLAIM = """
INSERT INTO audit_ingesteduid (application, uid, recorded_at)
SELECT %s, given.uid, %s FROM unnest(%s::uuid[]) AS given (uid) ORDER BY given.uid
ON CONFLICT DO NOTHING RETURNING uid
"""


@dataclass(frozen=True, slots=True)
class Sender:
    """The sending application, named after its token."""

    application: str
    account: str
    token_fp: str
    address: str | None

    def as_data(self) -> dict[str, Any]:
        return {
            "application": self.application,
            "account": self.account,
            "token_fp": self.token_fp,
            "address": self.address or "",
        }


def sender() -> Sender:
    """Return the sender of the current request."""
    context = request_context.current()
    names = [role.removeprefix("token:") for role in context.actor.roles if role[:6] == "token:"]
    application = names[0] if names else context.actor.name
    return Sender(application[:200], context.actor.name, context.token_fp, context.source_ip)


@transaction.atomic
def write(items: Sequence[dict[str, Any]], *, by: Sender, at: datetime) -> list[bool]:
    """Write the entries that are new; return for each whether it was new (False: a duplicate).

    `items` are validated by audit/ingest_serializers.py, and each has a `uid`.
    """
    with connection.cursor() as cursor:
        # Inserted in order of uid, so that two senders of the same batch cannot deadlock.
        cursor.execute(CLAIM, [by.application, at, list({facts["uid"] for facts in items})])
        unwritten = {row[0] for row in cursor.fetchall()}
    entries, is_new = [], []
    for facts in items:
        is_new.append(facts["uid"] in unwritten)
        if is_new[-1]:
            unwritten.discard(facts["uid"])
            entries.append(_entry(facts, by, at))
    bulk.write(entries, at=at)  # into the log file of the day of receipt
    return is_new


def _entry(facts: dict[str, Any], by: Sender, at: datetime) -> AuditEntry:
    """Build an entry like `record`, but from the received data instead of the current request."""
    actor = Actor(
        facts["actor_type"], facts["actor_id"], facts["actor_name"] or by.application,
        tuple(facts["actor_roles"]),
    )  # fmt: skip
    context = Context(
        request_id=facts["request_id"], source_ip=facts["source_ip"], user_agent=facts["user_agent"],
        http_method=facts["http_method"], url_path=facts["url_path"], actor=actor,
        impersonator=Actor("user", facts["impersonator_id"], facts["impersonator_name"]),
        auth_method=facts["auth_method"],
    )  # fmt: skip
    with request_context.use(context):
        entry = services.build(
            facts["action"], actor=actor, outcome=facts["outcome"], reason=facts["reason"],
            target=Target(facts["target_type"], facts["target_id"], facts["target_name"]),
            changes=facts["changes"], data=facts["data"], severity=facts["severity"],
            http_status=facts["http_status"],
        )  # fmt: skip
    entry.uid, entry.code, entry.trace_id = facts["uid"], facts["code"], facts["trace_id"]
    entry.geo_country = facts["geo_country"] or entry.geo_country
    entry.asn = facts["asn"] or entry.asn
    entry.occurred_at = facts["occurred_at"] or at
    late = at - entry.occurred_at
    if abs(late) > NOTED_SKEW:
        entry.data["recorded_after_seconds"] = round(late.total_seconds())
    entry.data["ingested_by"] = by.as_data()  # last, so that data sent cannot replace it
    return entry


def forget(*, at: datetime) -> int:
    """Delete uids older than UIDS_KEPT; return how many."""
    return IngestedUid.objects.filter(recorded_at__lt=at - UIDS_KEPT).delete()[0]
