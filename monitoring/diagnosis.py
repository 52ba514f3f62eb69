"""Diagnoses an upstream that does answer (pure): returns sentences with fault and cure, or nothing."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

CERTIFICATE_WARNING = timedelta(days=14)
# An alert must have been delivered if its age is between these: a younger one may still wait for its group,
# and the deliveries of an older one may be forgotten.
HOOK_PATIENCE = timedelta(minutes=15)
HOOK_MEMORY = timedelta(hours=5)


def certificate_ends(ends: datetime | None, *, host: str, at: datetime) -> str:
    if ends is None or ends - at > CERTIFICATE_WARNING:
        return ""
    if ends <= at:
        return (
            f"The TLS certificate of {host} expired on {ends:%Y-%m-%d}; it is only accepted because the option"
            " verify_tls is false. Renew it on that server."
        )
    return (
        f"The TLS certificate of {host} expires on {ends:%Y-%m-%d}, in {(ends - at).days} days. Renew it on that"
        " server before then."
    )


def webhook(
    *,
    has_hook: bool | None,
    firing_since: datetime | None,
    last_delivery: datetime | None,
    url: str,
    at: datetime,
) -> str:
    """Assess whether Alertmanager's webhook reaches us; `last_delivery` is within the last hours, or None."""
    if has_hook is False:
        return (
            f"Its configuration has no webhook to this portal, so alerts arrive only by polling. Add a receiver with"
            f" webhook_configs and the URL {url}, and a token with the scope alerts:write."
        )
    if firing_since is None or at - firing_since < HOOK_PATIENCE:
        return ""
    if last_delivery is not None and last_delivery >= firing_since:
        return ""
    return (
        f"Alerts have been firing since {firing_since:%H:%M} UTC, and no webhook of this Alertmanager has arrived"
        f" since. Check its log for the reason; the URL is {url}, and the token needs the scope alerts:write."
    )


def hinted(sentence: str, status: int | None, url: str) -> str:
    """Add a hint to the message of a 404 when the path may be wrong."""
    if status != 404:
        return sentence
    path = urlsplit(url).path.rstrip("/")
    if path:
        return f"{sentence} The URL ends in {path[:100]}: remove that if the server is at the root."
    return f"{sentence} A server behind a proxy often has a path prefix, such as {url}/prometheus."
