"""Creates demonstration checks and deploys inside PostgreSQL. The next run is years ahead, so no check runs."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from monitoring import status
from monitoring.models import Check, Deploy
from portal.core.models import Service

CHECKS = """
INSERT INTO monitoring_check (service_id, name, kind, target, method, expected_status, body_pattern, follow_redirects,
    verify_tls, headers, expiry_warning_days, promql, comparison, threshold, enabled, interval_seconds,
    timeout_seconds, failures_to_flip, successes_to_recover, severity, raises_alert, next_run_at, last_run_at, status,
    since, sentence, latency_seconds, pending_count, certificate_ends_at, created_at)
SELECT s.id, k.name, k.kind, CASE k.kind WHEN 'http' THEN 'https://' || s.slug || '.example/health'
        WHEN 'promql' THEN '' ELSE s.slug || '.example:443' END, 'GET', '200-299', '', true, true, '', 21,
    CASE k.kind WHEN 'promql' THEN 'sum(rate(http_requests_total{service="' || s.slug || '",code=~"5.."}[5m]))' ELSE '' END,
    '<', 1, true, 86400, 10, 3, 1, 'critical', true, %(now)s + interval '10 years', %(now)s, v.status,
    %(now)s - random() * interval '5 days',
    CASE v.status WHEN 'up' THEN CASE k.kind WHEN 'http' THEN 'HTTP 200 in 84 ms.' WHEN 'tls'
        THEN 'The certificate is valid for 64 more days.' ELSE 'The value is < 1.' END
        WHEN 'degraded' THEN 'The certificate is valid for 9 more days. Renew it soon.'
        ELSE 'It answered HTTP 503; expected is 200-299.' END,
    0.02 + random() * 0.2, 0, CASE k.kind WHEN 'tls' THEN %(now)s + interval '64 days' END, %(now)s
FROM core_service s CROSS JOIN (VALUES ('Front page', 'http'), ('Certificate', 'tls'), ('Error rate', 'promql')) k (name, kind)
CROSS JOIN LATERAL (SELECT CASE WHEN s.id %% 17 = 3 AND k.kind = 'http' THEN 'down'
    WHEN s.id %% 11 = 5 AND k.kind = 'tls' THEN 'degraded' ELSE 'up' END AS status) v
WHERE s.labels @> '{"demo": "true"}'
"""

FLIPS = """
WITH flips AS (
    SELECT c.id, c.service_id, c.status, n, %(now)s - (n * 24 + random() * 12) * interval '1 hour' AS at
    FROM monitoring_check c JOIN core_service s ON s.id = c.service_id CROSS JOIN generate_series(1, 12) n
    WHERE s.labels @> '{"demo": "true"}' AND (c.id + n) %% 3 = 0
)
INSERT INTO monitoring_statuschange (service_id, check_row_id, old_status, new_status, reason, at)
SELECT service_id, id, 'up', 'down', 'It did not answer within 10 seconds.', at FROM flips
UNION ALL
SELECT service_id, id, 'down', 'up', 'HTTP 200 in 91 ms.', at + (5 + id %% 40) * interval '1 minute' FROM flips
UNION ALL
SELECT c.service_id, c.id, 'unknown', 'up', 'HTTP 200 in 90 ms.', %(now)s - interval '29 days'
FROM monitoring_check c JOIN core_service s ON s.id = c.service_id WHERE s.labels @> '{"demo": "true"}'
"""

HOURS = """
INSERT INTO monitoring_checkhour (check_row_id, hour, runs, failures, latency_sum, latency_max)
SELECT c.id, date_trunc('hour', %(now)s::timestamptz) - n * interval '1 hour', 120, 0,
    120 * (0.06 + 0.04 * sin(n / 3.8) + random() * 0.02), 0.2 + random() * 0.4
FROM monitoring_check c JOIN core_service s ON s.id = c.service_id CROSS JOIN generate_series(0, 167) n
WHERE s.labels @> '{"demo": "true"}' AND c.kind <> 'promql'
"""

DEPLOYS = """
INSERT INTO monitoring_deploy (uid, service_id, version, environment, revision, url, description, actor, at, recorded_at)
SELECT gen_random_uuid(), s.id, 'v' || 2 + n / 8 || '.' || n %% 8 || '.' || s.id %% 5, 'production',
    substr(md5(s.id::text || n), 1, 12), 'https://ci.example/' || s.slug || '/' || 100 + n, '', 'demo-ci', at, at
FROM core_service s CROSS JOIN generate_series(1, %(per_service)s) n
CROSS JOIN LATERAL (
    SELECT %(now)s - (%(per_service)s - n + random()) * interval '30 days' / %(per_service)s AS at
) t
WHERE s.labels @> '{"demo": "true"}'
"""
DEPLOYS_PER_SERVICE = 8


def clear() -> None:
    """Delete the rows of an earlier run in SQL, because the models refuse to delete history."""
    mine = 'SELECT id FROM core_service WHERE labels @> \'{"demo": "true"}\''
    with connection.cursor() as cursor:
        for statement in (
            f"DELETE FROM monitoring_statuschange WHERE service_id IN ({mine})",  # noqa: S608
            "DELETE FROM monitoring_checkhour h USING monitoring_check c"  # noqa: S608
            f" WHERE c.id = h.check_row_id AND c.service_id IN ({mine})",
            f"DELETE FROM monitoring_check WHERE service_id IN ({mine})",  # noqa: S608
            f"DELETE FROM monitoring_deploy WHERE service_id IN ({mine})",  # noqa: S608
        ):
            cursor.execute(statement)


def seed(now: datetime) -> dict[str, int]:
    """Give each demonstration service three checks with a month of history, and some deploys."""
    facts: dict[str, Any] = {"now": now, "per_service": DEPLOYS_PER_SERVICE}
    with connection.cursor() as cursor:
        for statement in (CHECKS, FLIPS, HOURS, DEPLOYS):
            cursor.execute(statement, facts)
    mine = Service.objects.filter(labels__contains={"demo": "true"}).values_list("pk", flat=True)
    status.update(list(mine), at=now - timedelta(minutes=4))
    return {
        "checks": Check.objects.filter(service__in=mine).count(),
        "deploys": Deploy.objects.filter(service__in=mine).count(),
    }
