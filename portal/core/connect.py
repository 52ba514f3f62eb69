"""Opens the HTTP client for an upstream row: its credentials, options and bounds."""

from portal.core.http import Client, Target
from portal.core.models import Upstream

DEFAULT_TIMEOUT_SECONDS = (
    90.0  # with one inhibit rule, Alertmanager takes up to 50 s to list 10,000 alerts
)
DEFAULT_MAX_BODY_MB = 32


def target_of(upstream: Upstream, member: str, *, timeout_seconds: float | None = None) -> Target:
    """Return how to reach one `member` (base URL) of `upstream`; `timeout_seconds` can only shorten its timeout."""
    timeout = float(upstream.option("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
    return Target(
        name=upstream.name,
        base_url=member,
        credentials=upstream.credentials or {},
        timeout_seconds=min(timeout, timeout_seconds) if timeout_seconds else timeout,
        max_body_bytes=int(upstream.option("max_body_mb", DEFAULT_MAX_BODY_MB)) * 1024 * 1024,
        encoding=upstream.option("encoding", "identity"),
        verify_tls=upstream.option("verify_tls", True),
        ca_file=upstream.option("ca_file", ""),
    )


def client_for(upstream: Upstream, member: str, *, timeout_seconds: float | None = None) -> Client:
    return Client(target_of(upstream, member, timeout_seconds=timeout_seconds))
