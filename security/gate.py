"""The gate: one round trip to Redis per request answers for blocks, allow-list, rate limit and token.

When Redis cannot be asked, nobody is blocked and each process counts on its own: a broken cache must
not lock out everybody, or hide the portal in the moment it is needed. That is logged and counted.
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
from security.gate_answer import API_RULE, Answer
from security.models import Block, SubjectKind
from security.subjects import fields_of

log = logging.getLogger(__name__)
REFUSED = Counter("portal_gate_refused_total", "Requests refused by a block.", ["kind"])
BLIND = Counter("portal_gate_blind_total", "Requests let through because Redis could not be asked.")
NOT_GATED = ("/healthz", "/readyz")
COUNTED = "/api/"
LIMIT_KEY = "portal:gate:limit:{}:{}"
# After a failure Redis is not asked for so long: a hanging server must not slow every request.
REST_SECONDS = 2.0


_rests_until = 0.0
_told: dict[int, float] = {}


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that is asked about one request."""

    fields: tuple[str, ...]
    rule: RateLimitItem | None
    key: str
    token_hash: str
    client: str


def question_of(request: HttpRequest) -> Question:
    """Return what to ask: the address with its networks, account and token, and the count of the API."""
    context = request_context.current()
    fields = fields_of(context.source_ip) if context.source_ip else []
    token_hash = _token_hash(request)
    if context.actor.type == "user":
        fields.append(f"{SubjectKind.ACCOUNT}:{context.actor.id}")
    if token_hash:
        fields.append(f"{SubjectKind.TOKEN}:{token_hash}")
    user = f"user:{context.actor.id}" if context.actor.type == "user" else ""
    return Question(
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


def ask(question: Question) -> Answer:
    """Ask Redis once; twice when its copy of the blocks was lost. Raises RedisError or OSError."""
    replies = _round_trip(question)
    if replies[0][0] is None:
        if not gate_store.write(only_if_missing=True):
            raise RedisError("the blocks could not be written")
        replies = [_round_trip(question)[0], *replies[1:]]
    count, wait = 0, None
    amount = question.rule.amount if question.rule else 0
    if question.rule is not None:
        count, left = int(replies[2]), int(replies[3])
        wait = 0 if count <= amount else max(1, -(-left // 1000))
    return Answer(
        block=_blocked_by(replies[0][1:]),
        wait=wait,
        is_first_refusal=wait is not None and count == amount + 1,
        knows_client=bool(question.token_hash and replies[-1]),
    )


def _round_trip(question: Question) -> list[Any]:
    with gate_store.client(settings.REDIS_URL).pipeline(transaction=False) as pipe:
        pipe.hmget(gate_store.HASH, [gate_store.READY, *question.fields])
        if question.rule is not None:
            key = LIMIT_KEY.format(question.rule, question.key)
            pipe.set(key, 0, ex=question.rule.get_expiry(), nx=True)
            pipe.incr(key)
            pipe.pttl(key)
        if question.token_hash:
            pipe.sismember(token_clients.KEY.format(question.token_hash), question.client)
        found: list[Any] = pipe.execute()
    if question.rule is not None and int(found[3]) < 0:
        # It ended between the first two commands, and the second made it anew, to last for ever.
        gate_store.client(settings.REDIS_URL).expire(key, question.rule.get_expiry())
    return found


def _blocked_by(values: list[bytes | None]) -> tuple[int, str] | None:
    """Return number and kind of the block that holds; one allowance outweighs all blocks."""
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
    """Stands where session and account are known, before any view is chosen."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in NOT_GATED:
            return self.get_response(request)
        answer = _asked(request)
        token = gate_answer.answer.set(answer)
        try:
            if answer is not None and answer.block is not None:
                return _refuse(request, *answer.block)
            return self.get_response(request)
        finally:
            gate_answer.answer.reset(token)


def _asked(request: HttpRequest) -> Answer | None:
    global _rests_until
    if time.monotonic() < _rests_until:
        BLIND.inc()
        return None
    try:
        return ask(question_of(request))
    except (RedisError, OSError) as error:
        _rests_until = time.monotonic() + REST_SECONDS
        BLIND.inc()
        log.error(
            "Blocks are NOT enforced: Redis cannot be asked (%s). Bring it back; /readyz shows it.",
            error,
        )
        return None


def _refuse(request: HttpRequest, number: int, kind: str) -> HttpResponse:
    """Answer 403 with a plain sentence; one entry a minute and block in the trail."""
    REFUSED.labels(kind).inc()
    whose = {SubjectKind.ACCOUNT: "Your account is", SubjectKind.TOKEN: "This token is"}.get(
        SubjectKind(kind), "Your address or network is"
    )
    sentence = f"{whose} blocked for the time being. Ask an administrator of the portal, and name block {number}."
    _tell(number)
    if request.path_info.startswith((COUNTED, "/metrics")):
        return problems.response("Blocked", 403, sentence, "blocked")
    return pages.render(request, "blocked", status=403, title="Blocked", sentence=sentence).render()  # type: ignore[attr-defined,no-any-return]


def _tell(number: int) -> None:
    now = time.monotonic()
    if now - _told.get(number, -60.0) < 60:
        return
    if len(_told) > 1000:
        _told.clear()
    _told[number] = now
    target = audit.target_of(Block.objects.filter(pk=number).first()) if number else None
    audit.record(
        "block.enforced", target=target, outcome="failure", reason="blocked", http_status=403
    )
