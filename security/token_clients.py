"""Tracks which networks and kinds of clients use a token; a new one is recorded for the rules."""

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from redis.exceptions import RedisError

from audit import services as audit
from portal.core import request_context
from security import gate_answer, gate_store
from security.models import ApiToken, SeenClient
from security.rules.clients import family
from security.rules.events import network_of

log = logging.getLogger(__name__)
KEY = "portal:gate:clients:{}"
KEPT_SECONDS = 24 * 3600
# A leaked token used with a different User-Agent per request must not fill the table or Redis.
MOST_PER_TOKEN = 200


def member(address: str | None, user_agent: str) -> str:
    """Return a client's name in Redis."""
    return f"{network_of(address or '')}|{family(user_agent)}"


def note(token: ApiToken, *, at: datetime) -> None:
    """Store the client of the current request; audit one that is new to the token."""
    decision = gate_answer.current()
    if decision is not None and decision.knows_client:
        return
    context = request_context.current()
    network, client = network_of(context.source_ip or ""), family(context.user_agent)
    seen = SeenClient.objects.filter(token=token)
    if not seen.filter(network=network, client=client).exists():
        if seen.count() >= MOST_PER_TOKEN:
            return  # not stored in Redis either, where the set would grow with each request
        facts = {"address": context.source_ip, "first_seen_at": at}
        _, created = seen.get_or_create(token=token, network=network, client=client, defaults=facts)
        if created:
            _judge(token, network, client, at=at)
    _remember(token, member(context.source_ip, context.user_agent))


def _judge(token: ApiToken, network: str, client: str, *, at: datetime) -> None:
    """Audit what is new about the client, unless it is the token's first."""
    others = [row for row in token.clients.all() if (row.network, row.client) != (network, client)]
    if not others:
        return
    new = [name for name, is_new in (
        ("network", all(row.network != network for row in others)),
        ("client", all(row.client != client for row in others)),
    ) if is_new]  # fmt: skip
    data: dict[str, Any] = {
        "signal": "+".join(new) or "network",
        "network": network,
        "client": client,
    }
    if token.last_used_at is not None and network_of(token.last_used_ip or "") != network:
        data["seconds_since_other_use"] = round((at - token.last_used_at).total_seconds(), 1)
    audit.record("token.new_client", target=token, data=data)


def _remember(token: ApiToken, known: str) -> None:
    key = KEY.format(token.token_hash)
    try:
        with gate_store.client(settings.REDIS_URL).pipeline(transaction=False) as pipe:
            pipe.sadd(key, known)
            pipe.expire(key, KEPT_SECONDS)
            pipe.execute()
    except (RedisError, OSError) as error:
        log.warning("A client of token %s is not remembered in Redis: %s", token.pk, error)
