"""Serves `/metrics`: the counters of all processes, and gauges read from the database at each scrape."""

import hmac
import logging
import os
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from portal import gauges
from portal.core import problems, request_context
from portal.health import heartbeat_age_seconds
from security import tokens
from security.models import Scope

log = logging.getLogger(__name__)


class PortalCollector(Collector):
    """The portal's own gauges. A part that cannot be read is left out, so that no value is made up."""

    def collect(self) -> Iterator[Metric]:
        yield from _build_info()
        up = GaugeMetricFamily("portal_database_up", "1 when the database answered this scrape.")
        try:
            rows = gauges.read(at=timezone.now())
        except DatabaseError as error:
            log.warning("Metrics without the database: %s", error)
            connection.close()
            up.add_metric([], 0)
            yield up
        else:
            up.add_metric([], 1)
            yield up
            yield from gauges.families(rows)
        yield from _heartbeat()


def _build_info() -> Iterable[Metric]:
    info = GaugeMetricFamily(
        "portal_build_info", "The running version; always 1.", labels=["version"]
    )
    info.add_metric([settings.VERSION], 1)
    return [info]


def _heartbeat() -> Iterable[Metric]:
    try:
        age = heartbeat_age_seconds()
    except (RedisError, OSError):
        age = None
    if age is None:
        return []
    family = GaugeMetricFamily(
        "portal_worker_heartbeat_age_seconds", "Time since the latest heartbeat of any worker."
    )
    family.add_metric([], age)
    return [family]


def exposition() -> bytes:
    """Return the metrics in Prometheus's text format; with several processes, the sum over them."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        counted = generate_latest(registry)
    else:
        counted = generate_latest(REGISTRY)
    own = CollectorRegistry()
    own.register(PortalCollector())
    return counted + generate_latest(own)


def metrics(request: HttpRequest) -> HttpResponse:
    """Serve the metrics to a client with METRICS_TOKEN, a token of scope metrics, or an allowed address."""
    if not may_scrape(request):
        return problems.response(
            "Forbidden", 403,
            "Metrics are available with METRICS_TOKEN, with a token that has the scope metrics, and from"
            " addresses in METRICS_NETWORKS.",
            "permission_denied",
        )  # fmt: skip
    return HttpResponse(
        exposition(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )


def may_scrape(request: HttpRequest, *scopes: Scope) -> bool:
    """True for METRICS_TOKEN, addresses in METRICS_NETWORKS, and tokens of scope metrics or one of `scopes`."""
    scheme, _, written = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
    address = request_context.current().source_ip
    if scheme.lower() == "bearer" and written.strip():
        given = written.strip().encode("utf-8", "replace")
        if hmac.compare_digest(given, settings.METRICS_TOKEN.encode()):
            return True
        if _token_allows(written.strip(), address, (Scope.METRICS, *scopes)):
            return True
    return address is not None and any(
        ip_address(address) in network for network in settings.METRICS_NETWORKS
    )


def _token_allows(written: str, address: str | None, scopes: Iterable[Scope]) -> bool:
    try:
        token = tokens.check(written, address=address, at=timezone.now())
        tokens.touch(token, address=address, at=timezone.now())
    except (tokens.RejectedError, DatabaseError):
        return False
    return any(token.allows(scope) for scope in scopes)
