"""Packs the endsAt of each alert in the last poll, which is remembered but not stored as a change (pure).

Alertmanager moves `endsAt` at every resend. Written per alert it would cost 10,000 row versions a
minute; packed under one key of the cache it costs one write. When the cache has lost it, the
caller falls back to a bound that is never too early (`latest_end`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from alerts.payloads import ListedAlert, instant

Memory = dict[str, int]
_decoder = msgspec.msgpack.Decoder(Memory)


def pack(alerts: Iterable[ListedAlert]) -> bytes:
    """Return the packed ends, in whole seconds rounded up, without alerts that have no valid end."""
    ends = {a.fingerprint: int(end.timestamp()) + 1 for a in alerts if (end := instant(a.endsAt))}
    return msgspec.msgpack.encode(ends)


def unpack(packed: bytes | None) -> Memory:
    """Return the ends by fingerprint; empty if the data is unreadable."""
    if not packed:
        return {}
    try:
        return _decoder.decode(packed)
    except msgspec.DecodeError:
        return {}


def latest_end(
    remembered: int | None,
    *,
    expires_at: datetime | None,
    refreshed_at: datetime | None,
    last_seen: datetime,
) -> datetime:
    """Return the last endsAt of an alert that is no longer listed.

    It is exact if remembered. Otherwise it is the later of the last stored end, and `last_seen` plus the
    time to live at that time, as if the alert had been resent just before it disappeared.
    """
    if remembered is not None:
        return datetime.fromtimestamp(remembered, UTC)
    if expires_at is None:
        return last_seen
    lifetime = expires_at - refreshed_at if refreshed_at else timedelta(0)
    return max(expires_at, last_seen + max(lifetime, timedelta(0)))
