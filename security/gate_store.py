"""Keeps blocks and allow-list in Redis, in one hash that is replaced as a whole and read once per request.

PostgreSQL holds the authoritative rows. If the hash is missing (Redis was flushed), the first process
that notices rebuilds it; a tick does so too, which repairs writes that did not reach Redis.
"""

import json
import logging
import threading
import uuid
from functools import lru_cache

import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from security.models import AllowEntry, ApiToken, Block, BlockOrigin, SubjectKind
from security.subjects import field_of

log = logging.getLogger(__name__)
HASH = "portal:gate:subjects"
READY = "ready"
ALLOWED = "+"
CHUNK = 5_000
LOCK = 7_203_114  # advisory lock: one writer of the hash at a time, so that the newest rows win

_waiting = threading.local()  # whether this thread's transaction has changed rows of the hash


@lru_cache(maxsize=4)
def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)


def content() -> dict[str, str]:
    """Return the fields of the hash: what is allowed, and what is blocked, until when and why."""
    now = timezone.now()
    fields: dict[str, str] = {READY: "1"}
    active = Block.objects.active(at=now).order_by("expires_at")
    if not settings.CROWDSEC_ENFORCE:
        active = active.exclude(origin=BlockOrigin.CROWDSEC)
    blocks = list(active.only("kind", "value", "expires_at"))
    hashes = _token_hashes(blocks)
    for block in blocks:
        value = json.dumps([block.expires_at.timestamp(), block.pk, block.kind])
        for name in _fields(block.kind, block.value, hashes):
            fields[name] = value
    allowed = list(AllowEntry.objects.all())
    hashes = _token_hashes(allowed)
    for entry in allowed:
        for name in _fields(entry.kind, entry.value, hashes):
            fields[name] = ALLOWED
    return fields


def _token_hashes(rows: "list[Block] | list[AllowEntry]") -> dict[tuple[str, str], list[str]]:
    """Return the hashes of the tokens that are blocked or allowed, by themselves or by their account."""
    tokens = [row.value for row in rows if row.kind == SubjectKind.TOKEN]
    accounts = [row.value for row in rows if row.kind == SubjectKind.ACCOUNT]
    found: dict[tuple[str, str], list[str]] = {}
    if tokens:
        for pk, written in ApiToken.objects.filter(pk__in=tokens).values_list("pk", "token_hash"):
            found[SubjectKind.TOKEN, str(pk)] = [written]
    if accounts:
        rows_of = ApiToken.objects.filter(user_id__in=accounts, revoked_at__isnull=True)
        for user_id, written in rows_of.values_list("user_id", "token_hash"):
            found.setdefault((SubjectKind.ACCOUNT, str(user_id)), []).append(written)
    return found


def _fields(kind: str, value: str, hashes: dict[tuple[str, str], list[str]]) -> list[str]:
    """Return the fields of a subject; for an account, they include each of its tokens."""
    names = [f"token:{written}" for written in hashes.get((kind, value), ())]
    return names if kind == SubjectKind.TOKEN else [field_of(kind, value), *names]


def write(*, only_if_missing: bool = False) -> bool:
    """Rebuild the hash from PostgreSQL. Returns False, and logs a warning, when either is unavailable."""
    server = client(settings.REDIS_URL)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            if not (only_if_missing and server.hexists(HASH, READY)):
                _replace(server, content())
    except (RedisError, OSError, DatabaseError) as error:
        log.warning("Blocks are not in Redis yet; the next tick tries again: %s", error)
        return False
    return True


def _replace(server: redis.Redis, fields: dict[str, str]) -> None:
    draft = f"{HASH}:{uuid.uuid4().hex}"
    items = list(fields.items())
    with server.pipeline(transaction=False) as pipe:
        for start in range(0, len(items), CHUNK):
            pipe.hset(draft, mapping=dict(items[start : start + CHUNK]))
        pipe.expire(draft, 60)  # in case this process dies before the rename
        pipe.execute()
    with server.pipeline(transaction=True) as pipe:
        pipe.rename(draft, HASH)
        pipe.persist(HASH)
        pipe.execute()


def write_after_commit() -> None:
    """Write the hash once the current transaction is committed.

    It is written once for the whole transaction: a run of the rules may create many blocks.
    """
    _waiting.is_wanted = True
    transaction.on_commit(_write_if_wanted)


def _write_if_wanted() -> None:
    if getattr(_waiting, "is_wanted", False):
        _waiting.is_wanted = False
        write()
