"""Client of the Alertmanager API v2: the calls the portal needs.

It uses `/api/v2/alerts` and never `/alerts/groups`, which held a lock in older versions.
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from typing import Any

from portal.core.connect import client_for
from portal.core.http import Fault, Reply, UpstreamError
from portal.core.models import Upstream

WRITE_TIMEOUT_SECONDS = 15.0


class Alertmanager:
    """One member of a cluster. Every method raises UpstreamError."""

    def __init__(
        self, upstream: Upstream, member: str, *, timeout_seconds: float | None = None
    ) -> None:
        self.client = client_for(upstream, member, timeout_seconds=timeout_seconds)

    def __enter__(self) -> "Alertmanager":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.__exit__(*exc)

    def status(self) -> Reply:
        return self.client.get("/api/v2/status")

    def alerts(self) -> Reply:
        return self.client.get("/api/v2/alerts")

    def silences(self) -> Reply:
        return self.client.get("/api/v2/silences")

    def create_silence(self, silence: dict[str, Any]) -> str:
        """Create (or, with an `id`, replace) a silence and return its id."""
        reply = self.client.post("/api/v2/silences", silence)
        decoded = reply.json()
        if not isinstance(decoded, dict) or not isinstance(decoded.get("silenceID"), str):
            raise UpstreamError(
                Fault.MALFORMED,
                f"{reply.url} accepted the silence but returned no id for it. Check there that it exists.",
            )
        return str(decoded["silenceID"])

    def expire_silence(self, silence_id: str) -> None:
        self.client.delete(f"/api/v2/silence/{silence_id}")
