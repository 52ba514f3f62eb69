"""A real Prometheus polled into services: its rules, its stop, and its return with nothing to scrape."""

from pathlib import Path

import pytest
from django.utils import timezone

from monitoring import polling
from monitoring.models import ServiceStatus
from portal.core.models import Upstream
from tests.factories import make_upstream
from tests.stack import free_port, real_prometheus, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]
NOTHING = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
CONFIGURATION = """global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{folder}/rules.yml"]
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
  - job_name: gone
    static_configs: [{{targets: ["127.0.0.1:1"]}}]
"""
RULES = """groups:
  - name: flow
    rules: [{alert: Slow, expr: "vector(1)", labels: {job: shop, severity: critical}}]
"""


def shown(upstream: Upstream) -> dict[str, str]:
    """Return the status of each service as a page shows it now."""
    rows = ServiceStatus.objects.filter(upstream=upstream).select_related("service", "upstream")
    return {row.service.slug: row.shown(at=timezone.now())[0] for row in rows}


def test_what_a_prometheus_says_and_what_its_silence_means(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "rules.yml").write_text(RULES)
    upstream = make_upstream(kind="prometheus", url=f"http://127.0.0.1:{port}")

    def polled() -> dict[str, str]:
        assert polling.poll(upstream.pk).error == ""
        return shown(upstream)

    with real_prometheus(tmp_path, CONFIGURATION.format(folder=tmp_path, port=port), port=port):
        until(lambda: polled() == {"shop": "degraded", "gone": "down"}, "not so seen")
    upstream.refresh_from_db()
    assert upstream.observed["version"]
    assert ServiceStatus.objects.get(service__slug="shop").reason == "Firing: Slow."

    assert "connection refused" in polling.poll(upstream.pk).error
    assert shown(upstream) == {"shop": "unknown", "gone": "unknown"}
    with real_prometheus(tmp_path, NOTHING, port=port):
        assert polled() == {"shop": "unknown", "gone": "unknown"}
    assert "no longer scrapes it" in ServiceStatus.objects.get(service__slug="shop").reason
