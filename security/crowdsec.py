"""CrowdSec: our blocks are told to its local API, its decisions become blocks here.

One upstream row of kind crowdsec says where, with which credentials, and how fresh what we know is.
"""

import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from audit import services as audit
from portal.core import polling, sanitize
from portal.core.connect import target_of
from portal.core.http import Client, Fault, Reply, Target, UpstreamError
from portal.core.models import Upstream
from portal.core.polling import Report
from portal.core.probing import Answer
from portal.core.request_context import SYSTEM
from security import crowdsec_payloads as payloads
from security import gate_store
from security.blocks import refuse_protected
from security.crowdsec_payloads import Decision
from security.models import Block, BlockOrigin, SubjectKind
from security.subjects import Subject, parse

TIMEOUT_SECONDS = 20.0
ALL_AGAIN = timedelta(hours=1)
PUSHED_AT_ONCE = 500
# Each is a request; the lease of a poll ends, and the next poll goes on where this one stopped.
TELLING_SECONDS = 20.0


class Lapi:
    """The two faces of the local API: a machine writes alerts, a bouncer reads decisions."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._credentials = upstream.credentials or {}

    def _target(self, **over: Any) -> Target:
        base = target_of(self._upstream, self._upstream.members[0], timeout_seconds=TIMEOUT_SECONDS)
        return Target(
            name=base.name, base_url=base.base_url, timeout_seconds=base.timeout_seconds, verify_tls=base.verify_tls,
            ca_file=base.ca_file, max_body_bytes=base.max_body_bytes, **over,
        )  # fmt: skip

    def decisions(self, *, startup: bool) -> dict[str, Any]:
        """Return `new` and `deleted` since the last call of this bouncer, or all with `startup`."""
        headers = {"X-Api-Key": str(self._credentials.get("bouncer_key", ""))}
        with Client(self._target(headers=headers)) as client:
            query = {"startup": str(startup).lower(), "scopes": "ip,range"}
            said = client.get("/v1/decisions/stream", query).json()
        return said if isinstance(said, dict) else {}

    def look(self) -> Reply:
        """Ask about one address, as a bouncer may at any time."""
        headers = {"X-Api-Key": str(self._credentials.get("bouncer_key", ""))}
        with Client(self._target(headers=headers)) as client:
            return client.get("/v1/decisions", {"ip": "192.0.2.1"})

    def machine(self) -> Client:
        """Return a client that is signed in as a machine. Raises UpstreamError."""
        who = {
            "machine_id": self._credentials.get("machine"),
            "password": self._credentials.get("password"),
        }
        with Client(self._target()) as client:
            said = client.post(
                "/v1/watchers/login", {**who, "scenarios": [payloads.SCENARIO]}
            ).json()
        token = said.get("token") if isinstance(said, dict) else None
        if not token:
            raise UpstreamError(
                Fault.MALFORMED,
                "CrowdSec answered the sign-in without a token. Is this its local API?",
            )
        return Client(self._target(credentials={"token": str(token)}))


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
        summary.append(f"{_apply(new, gone, startup=startup, at=now)} decisions changed")
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


UPSERT = """
INSERT INTO security_block (kind, value, name, reason, origin, created_at, created_by, expires_at, ended_by, end_reason,
    remote_id)
SELECT kind, value, '', reason, 'crowdsec', %(now)s, who, expires, '', '', remote
FROM unnest(%(kinds)s::text[], %(values)s::text[], %(reasons)s::text[], %(who)s::text[], %(expires)s::timestamptz[],
    %(remotes)s::bigint[])
    AS given (kind, value, reason, who, expires, remote)
ON CONFLICT (kind, value, origin) WHERE ended_at IS NULL DO UPDATE
SET expires_at = excluded.expires_at, reason = excluded.reason, remote_id = excluded.remote_id
WHERE security_block.remote_id IS DISTINCT FROM excluded.remote_id
"""


@transaction.atomic
def _apply(new: list[Decision], gone: list[Decision], *, startup: bool, at: datetime) -> int:
    """Make the remote blocks what the server says; return how many changed."""
    wanted = _usable(new)
    Block.objects.elapsed(at=at).filter(origin=BlockOrigin.CROWDSEC).update(
        ended_at=F("expires_at")
    )
    remote = Block.objects.filter(origin=BlockOrigin.CROWDSEC, ended_at__isnull=True)
    over = {"ended_at": at, "ended_by": "CrowdSec"}
    if startup:
        ended = remote.exclude(value__in=wanted).update(**over)
    else:
        ended = remote.filter(remote_id__in=[d.id for d in gone]).update(**over)
    changed = 0
    if rows := list(wanted.values()):
        with connection.cursor() as cursor:
            cursor.execute(UPSERT, {
                "now": at, "values": [d.value for d in rows], "remotes": [d.id for d in rows],
                "kinds": [SubjectKind.NETWORK.value if d.is_network else SubjectKind.ADDRESS.value for d in rows],
                "reasons": [sanitize.line(d.reason, 500) or "a decision of CrowdSec" for d in rows],
                "who": [sanitize.line(d.origin, 200) or "CrowdSec" for d in rows],
                "expires": [at + d.left for d in rows],
            })  # fmt: skip
            changed = cursor.rowcount
    if ended or changed:
        facts = {"blocked": changed, "ended": ended}
        audit.record(
            "block.synchronised", actor=SYSTEM, target=audit.Target("crowdsec"), data=facts
        )
        gate_store.write_after_commit()
    return ended + changed


def _usable(new: list[Decision]) -> dict[str, Decision]:
    """Return the longest decision per value, without our own and without what cannot be kept."""
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
