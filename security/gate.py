"""Checks each request against blocks, allow-list, rate limit and known token clients, in one round trip to Redis.

When Redis is down, nobody is blocked and each process counts requests on its own: a broken cache must
neither lock everybody out nor make the portal unavailable when it is needed. This is logged and counted.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from limits import RateLimitItem, parse
from prometheus_client import Counter
from redis.exceptions import RedisError

from audit import services as audit
from portal.core import problems, request_context
from security import gate_answer, gate_store, limits, pages, token_clients, tokens
from security.gate_answer import API_RULE, GateDecision
from security.models import Block, SubjectKind
from security.subjects import fields_of

log = logging.getLogger(__name__)
REFUSED = Counter("portal_gate_refused_total", "Requests rejected by a block.", ["kind"])
BLIND = Counter(
    "portal_gate_blind_total", "Requests let through unchecked because Redis was unavailable."
)
NOT_GATED = ("/healthz", "/readyz")
COUNTED = "/api/"
LIMIT_KEY = "portal:gate:limit:{}:{}"
# After a failure Redis is not used for this long: a hanging server must not slow every request.
PAUSE_SECONDS = 2.0


_paused_until = 0.0
_recorded_at: dict[int, float] = {}


@dataclass(frozen=True, slots=True)
class GateQuery:
    """What is looked up in Redis for one request."""

    fields: tuple[str, ...]
    rule: RateLimitItem | None
    key: str
    token_hash: str
    client: str


def query_of(request: HttpRequest) -> GateQuery:
    """Return the lookups for a request: its address and networks, account and token, and its rate limit."""
    context = request_context.current()
    fields = fields_of(context.source_ip) if context.source_ip else []
    token_hash = _token_hash(request)
    if context.actor.type == "user":
        fields.append(f"{SubjectKind.ACCOUNT}:{context.actor.id}")
    if token_hash:
        fields.append(f"{SubjectKind.TOKEN}:{token_hash}")
    user = f"user:{context.actor.id}" if context.actor.type == "user" else ""
    return GateQuery(
        fields=tuple(fields),
        rule=parse(_rule_of(request)) if request.path_info.startswith(COUNTED) else None,
        key=token_hash or user or f"address:{limits.network_key(context.source_ip)}",
        token_hash=token_hash,
        client=token_clients.member(context.source_ip, context.user_agent),
    )


def _token_hash(request: HttpRequest) -> str:
    scheme, _, written = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
    written = written.strip()
    is_ours = scheme.lower() == "bearer" and tokens.is_well_formed(written)
    return tokens.hashed(written) if is_ours else ""


def _rule_of(request: HttpRequest) -> str:
    """Return the rate limit of the view behind the path; views may have one of their own."""
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return API_RULE
    return str(getattr(getattr(view, "cls", None), "throttle_rule", API_RULE))


def ask(query: GateQuery) -> GateDecision:
    """Query Redis once; twice when its copy of the blocks was lost. Raises RedisError or OSError."""
    replies = _round_trip(query)
    if replies[0][0] is None:
        if not gate_store.write(only_if_missing=True):
            raise RedisError("the blocks could not be written")
        replies = [_round_trip(query)[0], *replies[1:]]
    count, wait = 0, None
    amount = query.rule.amount if query.rule else 0
    if query.rule is not None:
        count, left = int(replies[2]), int(replies[3])
        wait = 0 if count <= amount else max(1, -(-left // 1000))
    return GateDecision(
        block=_blocked_by(replies[0][1:]),
        wait=wait,
        is_first_refusal=wait is not None and count == amount + 1,
        knows_client=bool(query.token_hash and replies[-1]),
    )


def _round_trip(query: GateQuery) -> list[Any]:
    with gate_store.client(settings.REDIS_URL).pipeline(transaction=False) as pipe:
        pipe.hmget(gate_store.HASH, [gate_store.READY, *query.fields])
        if query.rule is not None:
            key = LIMIT_KEY.format(query.rule, query.key)
            pipe.set(key, 0, ex=query.rule.get_expiry(), nx=True)
            pipe.incr(key)
            pipe.pttl(key)
        if query.token_hash:
            pipe.sismember(token_clients.KEY.format(query.token_hash), query.client)
        found: list[Any] = pipe.execute()
    if query.rule is not None and int(found[3]) < 0:
        # The key expired between SET and INCR, which then created it without an expiry.
        gate_store.client(settings.REDIS_URL).expire(key, query.rule.get_expiry())
    return found


def _blocked_by(values: list[bytes | None]) -> tuple[int, str] | None:
    """Return id and kind of the block in force, None without one; an allow-list entry overrides all blocks."""
    found = None
    for value in values:
        if value is None:
            continue
        if value == gate_store.ALLOWED.encode():
            return None
        until, number, kind = json.loads(value)
        if until > time.time():
            found = (int(number), str(kind))
    return found


class GateMiddleware:
    """Refuses blocked requests. Comes after session and authentication, before any view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in NOT_GATED:
            return self.get_response(request)
        decision = _decide(request)
        token = gate_answer.decision.set(decision)
        try:
            if decision is not None and decision.block is not None:
                return _refuse(request, *decision.block)
            return self.get_response(request)
        finally:
            gate_answer.decision.reset(token)


def _decide(request: HttpRequest) -> GateDecision | None:
    global _paused_until
    if time.monotonic() < _paused_until:
        BLIND.inc()
        return None
    try:
        return ask(query_of(request))
    except (RedisError, OSError) as error:
        _paused_until = time.monotonic() + PAUSE_SECONDS
        BLIND.inc()
        log.error(
            "Blocks are NOT enforced: Redis is unavailable (%s). Restore it; /readyz shows its state.",
            error,
        )
        return None


def _refuse(request: HttpRequest, number: int, kind: str) -> HttpResponse:
    """Return a 403 response, and audit at most one refusal per block and minute."""
    REFUSED.labels(kind).inc()
    whose = {SubjectKind.ACCOUNT: "Your account is", SubjectKind.TOKEN: "This token is"}.get(
        SubjectKind(kind), "Your address or network is"
    )
    sentence = f"{whose} temporarily blocked. Contact an administrator of the portal and mention block {number}."
    _record_refusal(number)
    if request.path_info.startswith((COUNTED, "/metrics")):
        return problems.response("Blocked", 403, sentence, "blocked")
    return pages.render(request, "blocked", status=403, title="Blocked", sentence=sentence).render()  # type: ignore[attr-defined,no-any-return]


def _record_refusal(number: int) -> None:
    """Audit a refusal, unless this process has done so for the block within the last minute."""
    now = time.monotonic()
    if now - _recorded_at.get(number, -60.0) < 60:
        return
    if len(_recorded_at) > 1000:
        _recorded_at.clear()
    _recorded_at[number] = now
    target = audit.target_of(Block.objects.filter(pk=number).first()) if number else None
    audit.record(
        "block.enforced", target=target, outcome="failure", reason="blocked", http_status=403
    )
