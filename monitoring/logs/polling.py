"""Polls the health of an Elasticsearch or OpenSearch; reads no log line."""

from dataclasses import dataclass
from typing import Any

from monitoring.elasticsearch import Elasticsearch
from monitoring.logs.replies import has_no_index
from portal.core import sanitize
from portal.core.models import Upstream
from portal.core.polling import Report

NOTHING: dict[str, Any] = {"size": 0, "track_total_hits": False, "timeout": "5s"}


@dataclass(frozen=True, slots=True)
class Seen:
    """The state that a cluster reports; `warning` is a sentence or empty."""

    distribution: str
    version: str
    cluster: str
    status: str
    warning: str
    skew_seconds: float | None

    @property
    def sentence(self) -> str:
        status = f", {self.status}" if self.status else ""
        return f"{self.distribution} {self.version} ({self.cluster}{status})"


def poll(upstream: Upstream) -> Report:
    """Request version and health, and check that there is something to search. Raises UpstreamError."""
    seen = look(upstream)
    return Report(
        summary=seen.sentence,
        skew_seconds=seen.skew_seconds,
        warning=seen.warning,
        observed={
            "distribution": seen.distribution,
            "version": seen.version,
            "cluster": seen.cluster,
            "status": seen.status,
        },
    )


def look(upstream: Upstream) -> Seen:
    with Elasticsearch(upstream) as client:
        root, reply = client.about()
        health = client.health() or {}
        empty = has_no_index(client.search(NOTHING))
        missing = (
            f"No index matches {client.index!r}, so there is nothing to search. Correct ELASTICSEARCH_INDEX, or the"
            " option index of the upstream; or nothing has been written yet."
        )
    version = root["version"]
    other = version.get("distribution")
    return Seen(
        distribution="OpenSearch" if other == "opensearch" else "Elasticsearch",
        version=sanitize.line(version.get("number", "of unknown version"), 40),
        cluster=sanitize.line(root.get("cluster_name", "unnamed"), 100),
        status=_word(health.get("status")),
        warning=health_warning(health) or (missing if empty else ""),
        skew_seconds=reply.skew_seconds,
    )


def health_warning(health: dict[str, Any]) -> str:
    """Return what is wrong with the cluster as a sentence; a single node is always yellow, which is fine."""
    waiting, nodes = health.get("unassigned_shards", 0), health.get("number_of_nodes", 1)
    if health.get("status") == "red":
        # The other number includes replicas; Elasticsearch before 8.16 and OpenSearch report only that one.
        missing = health.get("unassigned_primary_shards", f"up to {waiting}")
        return (
            f"The cluster is red: {missing} of its shards are missing, so searches return incomplete results."
            " GET _cluster/allocation/explain says why."
        )
    if health.get("status") == "yellow" and isinstance(nodes, int) and nodes > 1:
        return (
            f"The cluster is yellow: {waiting} replica shards are unassigned. Nothing is missing, but if another"
            " node fails, log lines may be lost. GET _cluster/allocation/explain says why."
        )
    return ""


def _word(status: Any) -> str:
    return status if status in ("green", "yellow", "red") else ""
