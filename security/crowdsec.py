"""Synchronises blocks with CrowdSec: pushes ours to its local API, and imports its decisions.

An upstream row of kind crowdsec holds the URL, the credentials, and how fresh the decisions are.
"""

import time
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils import timezone

from portal.core import polling
from portal.core.http import Client, Fault, UpstreamError
from portal.core.models import Upstream
from portal.core.polling import Report
from portal.core.probing import ProbeAnswer
from security import crowdsec_payloads as payloads
from security import crowdsec_remote
from security.blocks import refuse_protected
from security.crowdsec_lapi import Lapi
from security.models import Block, BlockOrigin, SubjectKind
from security.subjects import Subject

FULL_SYNC_EVERY = timedelta(hours=1)
PUSH_BATCH = 500
# Each block is a request, and the lease of a poll is limited; the next poll continues.
PUSH_SECONDS = 20.0


def ask(upstream: Upstream) -> ProbeAnswer:
    """Test both credentials, without advancing the bouncer's decision stream. Raises UpstreamError."""
    lapi, credentials, said = Lapi(upstream), upstream.credentials or {}, []
    skew = None
    if credentials.get("bouncer_key"):
        skew = lapi.look().skew_seconds
        said.append("the bouncer may read decisions")
    if credentials.get("machine"):
        lapi.machine().__exit__()
        said.append("the machine may publish blocks")
    if not said:
        sentence = f"{upstream.name} has neither a bouncer key nor a machine. Set CROWDSEC_BOUNCER_KEY, or CROWDSEC_MACHINE and CROWDSEC_PASSWORD."  # noqa: E501
        raise UpstreamError(Fault.UNAUTHORISED, sentence)
    return ProbeAnswer(f"CrowdSec answers: {' and '.join(said)}.", skew)


def poll(upstream: Upstream) -> Report:
    """Import new decisions, then push our blocks. Raises UpstreamError."""
    now, lapi = timezone.now(), Lapi(upstream)
    credentials, summary, bad = upstream.credentials or {}, [], 0
    observed = dict(upstream.observed)
    if credentials.get("bouncer_key"):
        startup = _needs_full_sync(upstream, at=now)
        said = lapi.decisions(startup=startup)
        new, bad = payloads.decisions(said.get("new"))
        gone, _bad = payloads.decisions(said.get("deleted"))
        changed = crowdsec_remote.apply(new, gone, startup=startup, at=now)
        summary.append(f"{changed} decisions changed")
        observed["started_at"] = now.isoformat() if startup else observed.get("started_at", "")
    if credentials.get("machine"):
        summary.append(f"{_push_changes(lapi, at=now)} blocks published")
    warning = f"{bad} decisions could not be read and are left out." if bad else ""
    return Report(
        "; ".join(summary) or "nothing to do: no credentials", warning=warning, observed=observed
    )


def _needs_full_sync(upstream: Upstream, *, at: datetime) -> bool:
    """True after a failure, and once an hour in case a delta was lost."""
    started = str(upstream.observed.get("started_at") or "")
    return (
        bool(upstream.error)
        or not started
        or at - datetime.fromisoformat(started) > FULL_SYNC_EVERY
    )


def _push_changes(lapi: Lapi, *, at: datetime) -> int:
    """Push our new and changed blocks, and delete lifted ones; return how many requests succeeded."""
    ours = Block.objects.exclude(origin=BlockOrigin.CROWDSEC).filter(
        kind__in=[SubjectKind.ADDRESS, SubjectKind.NETWORK]
    )
    lifted = list(
        ours.filter(pushed_at__isnull=False, ended_at__isnull=False, pushed_until__gt=at)[
            :PUSH_BATCH
        ]
    )
    fresh = Q(pushed_until__isnull=True) | ~Q(pushed_until=F("expires_at"))
    waiting = list(ours.active(at=at).filter(fresh)[:PUSH_BATCH])
    if not lifted and not waiting:
        return 0
    pushed, ends = 0, time.monotonic() + PUSH_SECONDS
    with lapi.machine() as client:
        for block in [*lifted, *waiting]:
            if time.monotonic() >= ends:
                break
            pushed += (
                _push(client, block, at=at) if block.ended_at is None else _lift(client, block)
            )
    return pushed


def _lift(client: Client, block: Block) -> bool:
    """Delete the decision of a lifted block; mark our other blocks of the value to be pushed again."""
    _delete_decision(client, block)
    Block.objects.filter(pk=block.pk).update(pushed_at=None)
    same = Block.objects.exclude(origin=BlockOrigin.CROWDSEC).filter(ended_at__isnull=True)
    same.filter(kind=block.kind, value=block.value).update(pushed_at=None, pushed_until=None)
    return True


def _push(client: Client, block: Block, *, at: datetime) -> bool:
    """Push one block; False for one that is not shared (local or protected), which is marked as handled."""
    pushed = False
    if not payloads.is_local(block.value) and _is_unprotected(block):
        if block.pushed_at is not None:
            _delete_decision(client, block)
        said = payloads.alert(block.value, reason=block.reason, left=block.expires_at - at, at=at)
        client.post("/v1/alerts", [said])
        pushed = True
    facts = {"pushed_at": at if pushed else None, "pushed_until": block.expires_at}
    Block.objects.filter(pk=block.pk).update(**facts)
    return pushed


def _is_unprotected(block: Block) -> bool:
    try:
        refuse_protected(Subject(block.kind, block.value))
    except ValidationError:
        return False
    return True


def _delete_decision(client: Client, block: Block) -> None:
    """Delete our own decisions about a value, and no others."""
    # Only the portal uses this scenario. Not every version supports the filters `scope` and `origin`.
    query = {"value": block.value, "scenario": payloads.SCENARIO}
    client.delete(f"/v1/decisions?{urlencode(query)}")


def poll_due(*, at: datetime) -> None:
    """Poll the CrowdSec upstreams that are due."""
    for upstream_id in polling.claim_due(at=at, kinds=[Upstream.Kind.CROWDSEC]):
        polling.run(upstream_id, poll)
