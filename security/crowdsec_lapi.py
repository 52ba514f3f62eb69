"""Client of CrowdSec's local API (LAPI)."""

from typing import Any

from portal.core.connect import target_of
from portal.core.http import Client, Fault, Reply, Target, UpstreamError
from portal.core.models import Upstream
from security import crowdsec_payloads as payloads

TIMEOUT_SECONDS = 20.0


class Lapi:
    """Has two logins: a machine writes alerts, a bouncer reads decisions."""

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
        """Return `new` and `deleted` decisions since this bouncer's last call, or all of them with `startup`."""
        headers = {"X-Api-Key": str(self._credentials.get("bouncer_key", ""))}
        with Client(self._target(headers=headers)) as client:
            query = {"startup": str(startup).lower(), "scopes": "ip,range"}
            said = client.get("/v1/decisions/stream", query).json()
        return said if isinstance(said, dict) else {}

    def look(self) -> Reply:
        """Query the decisions about one address, which does not advance the stream."""
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
