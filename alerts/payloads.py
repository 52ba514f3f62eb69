"""Parses Alertmanager's JSON into typed structs (pure); ignores unknown fields, counts and skips bad items.

API v2: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
Webhook v4: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from portal.core import sanitize

MAX_LABELS = 100
LABEL_LIMIT = 2_000
ANNOTATION_LIMIT = 16_000
# No working server's clock is this wrong; times outside would cause overflows in later calculations.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class PayloadError(ValueError):
    """A body or an item does not follow the protocol; the message says how."""


class AlertStatus(msgspec.Struct, frozen=True, gc=False):
    state: str = "active"
    silencedBy: tuple[str, ...] = ()
    inhibitedBy: tuple[str, ...] = ()


class Receiver(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class ListedAlert(msgspec.Struct, frozen=True, gc=False):
    """One item of `GET /api/v2/alerts`, as sent: times are left as text, because most are never used."""

    fingerprint: str
    labels: dict[str, str]
    startsAt: str
    endsAt: str = ""
    updatedAt: str = ""
    annotations: dict[str, str] = {}
    status: AlertStatus = AlertStatus()
    receivers: tuple[Receiver, ...] = ()
    generatorURL: str = ""


class HookAlert(msgspec.Struct, frozen=True, gc=False):
    """One alert of a webhook body. `fingerprint` came with Alertmanager 0.19."""

    status: str
    labels: dict[str, str]
    startsAt: str
    fingerprint: str
    endsAt: str = ""
    annotations: dict[str, str] = {}
    generatorURL: str = ""


class SilenceMatcher(msgspec.Struct, frozen=True):
    name: str
    value: str
    isRegex: bool = False
    isEqual: bool = True

    @property
    def operator(self) -> str:
        return ("=~" if self.isEqual else "!~") if self.isRegex else ("=" if self.isEqual else "!=")


class ListedSilence(msgspec.Struct, frozen=True):
    id: str
    startsAt: str
    endsAt: str
    updatedAt: str
    matchers: tuple[SilenceMatcher, ...] = ()
    comment: str = ""
    createdBy: str = ""


class ClusterStatus(msgspec.Struct, frozen=True):
    status: str = ""


class VersionInfo(msgspec.Struct, frozen=True):
    version: str = ""


class ServerStatus(msgspec.Struct, frozen=True):
    """`GET /api/v2/status`; `uptime` is the time of the start."""

    uptime: str
    cluster: ClusterStatus = ClusterStatus()
    versionInfo: VersionInfo = VersionInfo()


class _Envelope(msgspec.Struct):
    receiver: str = ""


_alerts = msgspec.json.Decoder(list[ListedAlert])
_alert = msgspec.json.Decoder(ListedAlert)
_silence = msgspec.json.Decoder(ListedSilence)
_status = msgspec.json.Decoder(ServerStatus)
_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_items = msgspec.json.Decoder(list[msgspec.Raw])
_hook_alert = msgspec.json.Decoder(HookAlert)
_encoder = msgspec.json.Encoder()


def _decode(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode JSON; a lone surrogate, which would make all of it invalid, is replaced by U+FFFD first."""
    try:
        return decoder.decode(body)
    except msgspec.DecodeError:
        mended = sanitize.mended(body)
        if mended == body:
            raise
        return decoder.decode(mended)


def _items(body: bytes, decoder: msgspec.json.Decoder[Any], what: str) -> tuple[list[Any], int]:
    """Return the valid items of a JSON list and the number of invalid ones, which do not affect the others."""
    try:
        raw = _raw(body)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"The answer is not a JSON list of {what}: {error}.") from error
    found, bad = [], 0
    for item in raw:
        try:
            found.append(_decode_item(item, decoder))
        except (msgspec.DecodeError, RecursionError):
            bad += 1
    return found, bad


def _decode_item(item: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode one item; members that are null count as absent, because Go encodes a nil map or slice so."""
    try:
        return decoder.decode(item)
    except msgspec.DecodeError:
        decoded = msgspec.json.decode(item)
        if not isinstance(decoded, dict):
            raise
        return decoder.decode(_encoder.encode(_without_nulls(decoded)))


def _without_nulls(decoded: dict[str, Any]) -> dict[str, Any]:
    """Return an item without its null members, and without those of an alert's `status`."""
    kept = {name: value for name, value in decoded.items() if value is not None}
    inner = kept.get("status")
    return {**kept, "status": _without_nulls(inner)} if isinstance(inner, dict) else kept


def _raw(body: bytes) -> list[Any]:
    """Return the items as they were sent, or encoded again if the list is not valid JSON."""
    try:
        return list(_decode(body, _raw_items))
    except msgspec.DecodeError:
        return sanitize.items(body)


def listed_alerts(body: bytes) -> tuple[list[ListedAlert], int]:
    """Return the alerts of a poll and the number of unreadable ones. Raises PayloadError."""
    try:
        alerts, bad = _alerts.decode(body), 0  # the whole list at once is a third faster
    except (msgspec.DecodeError, RecursionError):
        alerts, bad = _items(body, _alert, "alerts")
    good = [alert for alert in alerts if is_usable(alert)]
    return good, bad + len(alerts) - len(good)


def is_usable(alert: ListedAlert | HookAlert) -> bool:
    """True when the alert has an identity and a plausible start."""
    name = alert.fingerprint
    return (
        0 < len(name) <= 64
        and name.isascii()
        and name.isalnum()
        and instant(alert.startsAt) is not None
    )


def listed_silences(body: bytes) -> tuple[list[ListedSilence], int]:
    silences, bad = _items(body, _silence, "silences")
    good = [silence for silence in silences if _is_usable_silence(silence)]
    return good, bad + len(silences) - len(good)


def _is_usable_silence(silence: ListedSilence) -> bool:
    times = (instant(silence.startsAt), _end(silence), instant(silence.updatedAt))
    return 0 < len(silence.id) <= 64 and None not in times


def end_of(silence: ListedSilence) -> datetime:
    """Return when a silence ends; the year 9999, which people write for "never", becomes 2200."""
    return _end(silence) or LATEST


def _end(silence: ListedSilence) -> datetime | None:
    moment = _aware(silence.endsAt)
    return None if moment is None or moment < EARLIEST else min(moment, LATEST)


def server_status(body: bytes) -> ServerStatus:
    try:
        return _status.decode(body)
    except msgspec.DecodeError as error:
        raise PayloadError(
            f"The status is not in the format of Alertmanager's API v2: {error}."
        ) from error


def hook_alerts(body: bytes) -> tuple[list[HookAlert], int]:
    """Return the usable alerts of a webhook body, and the number of unusable ones. Raises PayloadError."""
    try:
        envelope = _decode(body, _envelope)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"The body is not a JSON object: {error}.") from error
    if "alerts" not in envelope:
        raise PayloadError(
            'The body has no "alerts"; it is not a webhook of Alertmanager (version 4).'
        )
    alerts, bad = _items(bytes(envelope["alerts"]), _hook_alert, "alerts")
    good = [a for a in alerts if is_usable(a) and a.status in ("firing", "resolved")]
    return good, bad + len(alerts) - len(good)


def receiver_of(body: bytes) -> str:
    """Return the name of the receiver in a webhook body; empty when there is none."""
    try:
        return msgspec.json.decode(body, type=_Envelope).receiver
    except msgspec.DecodeError:
        return ""


def instant(written: str) -> datetime | None:
    """Return an RFC 3339 time as an aware datetime; None when it is invalid or implausible.

    In a webhook, Go's zero time "0001-01-01T00:00:00Z" means "no end yet".
    """
    moment = _aware(written)
    return moment if moment is not None and EARLIEST <= moment <= LATEST else None


def _aware(written: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def moment_of(written: str) -> datetime:
    """Return a time that `is_usable` has accepted."""
    moment = instant(written)
    if moment is None:
        raise ValueError(f"{written!r} is not a valid time")
    return moment


def content_hash(alert: ListedAlert) -> bytes:
    """Return a 16-byte hash of everything except `updatedAt` and `endsAt`, which change with every resend."""
    parts = (
        alert.labels,
        alert.annotations,
        alert.startsAt,
        alert.generatorURL,
        alert.receivers,
        alert.status,
    )
    return hashlib.blake2b(_encoder.encode(parts), digest_size=16).digest()


def labels_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return storable labels, at most 100."""
    return _storable(given, LABEL_LIMIT)


def annotations_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return storable annotations, at most 100."""
    return _storable(given, ANNOTATION_LIMIT)


def _storable(given: Mapping[str, str], limit: int) -> dict[str, str]:
    # Check all characters at once: of 10,000 alerts hardly one needs the slow path.
    if len(given) <= MAX_LABELS:
        together = "".join([*given, *given.values()])
        if len(together) <= limit and together.isprintable():
            return dict(given)
    pairs = sorted(given.items())[:MAX_LABELS]
    return {sanitize.text(name, 200): sanitize.text(value, limit) for name, value in pairs}
