"""Creates demonstration rules and scrape targets for the demonstration services."""

from django.db import connection

from portal.core.models import Upstream

TARGETS = """
INSERT INTO monitoring_scrapetarget (service_id, address, scheme, metrics_path, labels, enabled, created_at)
SELECT s.id, s.slug || '-' || n || '.example:9100', 'http', '/metrics', jsonb_build_object('zone', chr(96 + n)), false, now()
FROM core_service s CROSS JOIN generate_series(1, 2) n WHERE s.labels @> '{"demo": "true"}'
"""

RULES = """
INSERT INTO monitoring_rule ("group", name, expr, for_duration, keep_firing_for, severity, service_id, labels, summary,
    description, runbook_url, annotations, upstream_id, position, enabled, accepted_at, loaded_state, loaded_error, created_at)
SELECT s.slug, initcap(replace(s.slug, '-', '')) || k.name, replace(k.expr, '$slug', s.slug), k.wait, '0', k.severity, s.id,
    jsonb_build_object('team', s.team), s.name || k.summary, '', '', '{}', %(upstream)s, k.position, true, now(),
    CASE WHEN s.id %% 13 = 5 AND k.position = 1 THEN 'firing' WHEN s.id %% 7 = 3 THEN 'pending' ELSE 'inactive' END, '', now()
FROM core_service s CROSS JOIN (VALUES
    ('Down', 'up{service="$slug"} == 0', '1m', 'critical', ': {{ $labels.instance }} does not answer', 1),
    ('Slow', 'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{service="$slug"}[5m]))) > 1',
        '10m', 'warning', ' answers in {{ $value | humanizeDuration }}', 2)
) k (name, expr, wait, severity, summary, position)
WHERE s.labels @> '{"demo": "true"}'
"""


def clear() -> None:
    mine = 'SELECT id FROM core_service WHERE labels @> \'{"demo": "true"}\''
    with connection.cursor() as cursor:
        for table in ("monitoring_scrapetarget", "monitoring_rule"):
            cursor.execute(f"DELETE FROM {table} WHERE service_id IN ({mine})")  # noqa: S608


def seed(prometheus: Upstream) -> dict[str, int]:
    """Give each demonstration service two rules, of a Prometheus that is not polled, and two disabled targets."""
    with connection.cursor() as cursor:
        cursor.execute(TARGETS)
        targets = int(cursor.rowcount)
        cursor.execute(RULES, {"upstream": prometheus.pk})
        return {"rules": int(cursor.rowcount), "scrape targets": targets}
