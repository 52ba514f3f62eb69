"""CrowdSec: our blocks are told to its local API, its decisions become blocks here.

One upstream row of kind crowdsec says where, with which credentials, and how fresh what we know is.
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
from portal.core.probing import Answer
from security import crowdsec_payloads as payloads
from security import crowdsec_remote
from security.blocks import refuse_protected
from security.crowdsec_lapi import Lapi
from security.models import Block, BlockOrigin, SubjectKind
from security.subjects import Subject

ALL_AGAIN = timedelta(hours=1)
PUSHED_AT_ONCE = 500
# Each is a request; the lease of a poll ends, and the next poll goes on where this one stopped.
TELLING_SECONDS = 20.0


def ask(upstream: Upstream) -> Answer:
    """Use both credentials once, without moving the bouncer's place in the stream. Raises UpstreamError."""
    lapi, credentials, said = Lapi(upstream), upstream.credentials or {}, []
    skew = None
    if credentials.get("bouncer_key"):
        skew = lapi.look().skew_seconds
        said.append("the bouncer may read decisions")
    if credentials.get("machine"):
        lapi.machine().__exit__()
        said.append("the machine may tell blocks")
    if not said:
        sentence = f"{upstream.name} has neither a bouncer key nor a machine. Set CROWDSEC_BOUNCER_KEY, or CROWDSEC_MACHINE and CROWDSEC_PASSWORD."  # noqa: E501
        raise UpstreamError(Fault.UNAUTHORISED, sentence)
    return Answer(f"CrowdSec answers: {' and '.join(said)}.", skew)


def poll(upstream: Upstream) -> Report:
    """Read what is new, then tell what is ours. Raises UpstreamError."""
    now, lapi = timezone.now(), Lapi(upstream)
    credentials, summary, bad = upstream.credentials or {}, [], 0
    observed = dict(upstream.observed)
    if credentials.get("bouncer_key"):
        startup = _must_start_anew(upstream, at=now)
        said = lapi.decisions(startup=startup)
        new, bad = payloads.decisions(said.get("new"))
        gone, _bad = payloads.decisions(said.get("deleted"))
        changed = crowdsec_remote.apply(new, gone, startup=startup, at=now)
        summary.append(f"{changed} decisions changed")
        observed["started_at"] = now.isoformat() if startup else observed.get("started_at", "")
    if credentials.get("machine"):
        summary.append(f"{_tell(lapi, at=now)} blocks told")
    warning = f"{bad} decisions could not be read and are left out." if bad else ""
    return Report(
        "; ".join(summary) or "nothing to do: no credentials", warning=warning, observed=observed
    )


def _must_start_anew(upstream: Upstream, *, at: datetime) -> bool:
    """True after a failure, and once an hour: a delta that was lost then is found again."""
    started = str(upstream.observed.get("started_at") or "")
    return bool(upstream.error) or not started or at - datetime.fromisoformat(started) > ALL_AGAIN


def _tell(lapi: Lapi, *, at: datetime) -> int:
    """Push new and changed blocks of ours, take back lifted ones; return how many were told."""
    ours = Block.objects.exclude(origin=BlockOrigin.CROWDSEC).filter(
        kind__in=[SubjectKind.ADDRESS, SubjectKind.NETWORK]
    )
    lifted = list(
        ours.filter(pushed_at__isnull=False, ended_at__isnull=False, pushed_until__gt=at)[
            :PUSHED_AT_ONCE
        ]
    )
    fresh = Q(pushed_until__isnull=True) | ~Q(pushed_until=F("expires_at"))
    waiting = list(ours.active(at=at).filter(fresh)[:PUSHED_AT_ONCE])
    if not lifted and not waiting:
        return 0
    told, ends = 0, time.monotonic() + TELLING_SECONDS
    with lapi.machine() as client:
        for block in [*lifted, *waiting]:
            if time.monotonic() >= ends:
                break
            told += _push(client, block, at=at) if block.ended_at is None else _lift(client, block)
    return told


def _lift(client: Client, block: Block) -> bool:
    """Take back a block that was lifted; another one of ours on the same value is told again."""
    _take_back(client, block)
    Block.objects.filter(pk=block.pk).update(pushed_at=None)
    same = Block.objects.exclude(origin=BlockOrigin.CROWDSEC).filter(ended_at__isnull=True)
    same.filter(kind=block.kind, value=block.value).update(pushed_at=None, pushed_until=None)
    return True


def _push(client: Client, block: Block, *, at: datetime) -> bool:
    """Tell one block; False for one that is not for others, which is remembered as told."""
    told = False
    if not payloads.is_local(block.value) and _is_unprotected(block):
        if block.pushed_at is not None:
            _take_back(client, block)
        said = payloads.alert(block.value, reason=block.reason, left=block.expires_at - at, at=at)
        client.post("/v1/alerts", [said])
        told = True
    facts = {"pushed_at": at if told else None, "pushed_until": block.expires_at}
    Block.objects.filter(pk=block.pk).update(**facts)
    return told


def _is_unprotected(block: Block) -> bool:
    try:
        refuse_protected(Subject(block.kind, block.value))
    except ValidationError:
        return False
    return True


def _take_back(client: Client, block: Block) -> None:
    """Delete our own decision about a value; others' decisions about it stay."""
    # The scenario is ours alone. `scope` and `origin` are filters that not every version knows.
    query = {"value": block.value, "scenario": payloads.SCENARIO}
    client.delete(f"/v1/decisions?{urlencode(query)}")


def poll_due(*, at: datetime) -> None:
    """Poll the CrowdSec upstreams whose time has come."""
    for upstream_id in polling.claim_due(at=at, kinds=[Upstream.Kind.CROWDSEC]):
        polling.run(upstream_id, poll)
