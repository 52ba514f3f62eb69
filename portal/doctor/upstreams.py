"""Probes all upstreams in parallel, each with a timeout, and checks whether Prometheus scrapes the portal."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from monitoring import connection_test
from monitoring.models import Target
from monitoring.prometheus import Prometheus
from portal.core.http import UpstreamError
from portal.core.models import Upstream, UpstreamKind
from portal.core.probing import ProbeAnswer
from portal.doctor import work
from portal.doctor.findings import Finding, Level, fail, ok, warn

log = logging.getLogger(__name__)
ASK_SECONDS = 10.0
AT_ONCE = 8
SIGN = "portal_build_info"  # a metric that only the portal's /metrics exposes


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer of one upstream, collected in a thread that must not use the database."""

    upstream: Upstream
    answer: ProbeAnswer | str
    certificate_end: datetime | None
    scraped_series: int | None = None


def examine() -> list[Finding]:
    rows = list(Upstream.objects.enabled().servers().order_by("name"))
    if not rows:
        cure = "Set PROMETHEUS_URL and ALERTMANAGER_URL, or add servers under Upstreams."
        return [
            warn("upstreams", "No upstream is enabled, so the portal has no data to show.", cure)
        ]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="doctor") as pool:
        futures: list[Future[Asked]] = [pool.submit(_ask, row) for row in rows]
        asked = [_result(row, future) for row, future in zip(rows, futures, strict=True)]
    return [finding for found in asked for finding in _findings(found)]


def _ask(upstream: Upstream) -> Asked:
    """Probe in a separate thread, which must not open a database connection."""
    wanted = min(float(upstream.option("timeout_seconds", ASK_SECONDS)), ASK_SECONDS)
    upstream.options = {**upstream.options, "timeout_seconds": wanted}  # never saved
    answer, ends = connection_test.ask(upstream)
    series = None
    if upstream.kind == UpstreamKind.PROMETHEUS and isinstance(answer, ProbeAnswer):
        with Prometheus(upstream, timeout_seconds=wanted) as server:
            series = len(server.query(SIGN).get("result") or [])
    return Asked(upstream, answer, ends, series)


def _result(upstream: Upstream, future: Future[Asked]) -> Asked:
    try:
        return future.result()
    except UpstreamError as error:
        return Asked(upstream, str(error), None)
    except Exception as error:  # a failing probe must not hide the others
        log.exception("Asking %s failed inside the portal.", upstream.name)
        said = f"This is a bug in the portal ({type(error).__name__}); see its log for details."
        return Asked(upstream, said, None)


def _findings(asked: Asked) -> list[Finding]:
    thing = f"upstream {asked.upstream.name}"
    result = connection_test.judge(asked.upstream, asked.answer, asked.certificate_end)
    found = [ok(thing, result.sentence) if result.ok else fail(thing, result.sentence)]
    found += [Finding(thing, Level.WARN, sentence) for sentence in result.warnings]
    if asked.scraped_series is not None:
        down = Target.objects.filter(upstream=asked.upstream, health="down", job="portal").first()
        found.append(
            work.scraping(
                asked.upstream.name,
                series=asked.scraped_series,
                down_because=(down.error or "no reason given") if down else "",
            )
        )
    return found
