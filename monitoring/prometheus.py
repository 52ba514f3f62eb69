"""Client of the Prometheus HTTP API: the calls the portal needs, as decoded `data`.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from collections.abc import Mapping
from typing import Any

from portal.core.connect import client_for
from portal.core.http import Client, Fault, Reply, UpstreamError
from portal.core.models import Upstream

CHART_TIMEOUT_SECONDS = 20.0
# Servers reject a call that they do not support with 404, another 4xx, or an HTML page.
LACKING = frozenset({Fault.NOT_FOUND, Fault.REJECTED, Fault.NOT_JSON, Fault.MALFORMED})


class Prometheus:
    """One Prometheus server. Every method raises UpstreamError."""

    def __init__(self, upstream: Upstream, *, timeout_seconds: float | None = None) -> None:
        self.client: Client = client_for(
            upstream, upstream.members[0], timeout_seconds=timeout_seconds
        )

    def __enter__(self) -> "Prometheus":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.__exit__(*exc)

    def targets(self) -> tuple[Any, Reply]:
        return self._data("/api/v1/targets", {"state": "active"})

    def alerting_rules(self) -> tuple[Any, Reply]:
        return self._data("/api/v1/rules", {"type": "alert"})

    def build_info(self) -> Any:
        return self._optional("/api/v1/status/buildinfo")

    def runtime_info(self) -> Any:
        return self._optional("/api/v1/status/runtimeinfo")

    def format_query(self, promql: str) -> str:
        """Return `promql` as formatted by Prometheus, without evaluating it (since 2.40)."""
        return str(
            self._unwrapped(self.client.post_form("/api/v1/format_query", {"query": promql}))
        )

    def query(self, promql: str, *, time: float | None = None) -> Any:
        """Return `data` of an instant query; `time` is in Unix time."""
        parameters = {"query": promql} | ({"time": f"{time:.3f}"} if time is not None else {})
        return self._unwrapped(self.client.post_form("/api/v1/query", parameters))

    def query_range(self, promql: str, *, start: float, end: float, step: float) -> Any:
        """Return `data` of a range query; `start` and `end` are in Unix time, `step` is in seconds.

        Prometheus rejects more than 11,000 points per series.
        """
        parameters = {
            "query": promql,
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
            "step": f"{step:.3f}",
        }
        return self._unwrapped(self.client.post_form("/api/v1/query_range", parameters))

    def _data(self, path: str, parameters: Mapping[str, str] | None = None) -> tuple[Any, Reply]:
        reply = self.client.get(path, parameters)
        return self._unwrapped(reply), reply

    def _optional(self, path: str) -> Any:
        """Return `data`, or None from a compatible server that lacks the call: VictoriaMetrics, Mimir."""
        try:
            return self._data(path)[0]
        except UpstreamError as error:
            if error.fault not in LACKING:
                raise
            return None

    @staticmethod
    def _unwrapped(reply: Reply) -> Any:
        decoded = reply.json()
        if (
            not isinstance(decoded, dict)
            or decoded.get("status") != "success"
            or "data" not in decoded
        ):
            raise UpstreamError(
                Fault.MALFORMED,
                f"{reply.url} did not answer like a Prometheus. Check that the URL is that of a Prometheus.",
            )
        return decoded["data"]
