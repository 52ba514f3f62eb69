"""Creates demonstration errors: issues of a disabled Sentry with transitions and a day of events."""

from datetime import datetime
from typing import Any

from django.db import connection

from portal.core.models import Upstream

NAME = "demo-sentry"


def seed(count: int, *, now: datetime) -> dict[str, int]:
    """Replace earlier demonstration errors; return the numbers created. The caller opens the transaction."""
    polled: dict[str, Any] = {
        "kind": "sentry", "url": "http://demo.invalid", "enabled": False, "attempted_at": now, "succeeded_at": now,
        "duration_seconds": 0.2, "error": "", "options": {"organization": "demo"}, "interval_seconds": 86400,
    }  # fmt: skip
    sentry = Upstream.objects.update_or_create(name=NAME, defaults=polled)[0]
    facts: dict[str, Any] = {"upstream": sentry.pk, "count": count, "now": now}
    with connection.cursor() as cursor:
        for statement in CLEAR:
            cursor.execute(statement, facts)
        cursor.execute(ISSUES, facts)
        made = int(cursor.rowcount)
        cursor.execute(STEPS, facts)
        cursor.execute(TALLIES, facts)
    return {"errors": made}


CLEAR = (
    "DELETE FROM monitoring_errortransition t USING monitoring_errorissue e"
    " WHERE e.id = t.issue_id AND e.upstream_id = %(upstream)s",
    "DELETE FROM monitoring_errorissue WHERE upstream_id = %(upstream)s",
    "DELETE FROM monitoring_errortally WHERE upstream_id = %(upstream)s",
)
# At most 400 issues are unresolved, however long the history is.
ISSUES = """
WITH services AS (
    SELECT array_agg(id ORDER BY id) AS ids, array_agg(slug ORDER BY id) AS slugs, count(*)::int AS n
    FROM core_service WHERE labels @> '{"demo": "true"}'
), picked AS (
    SELECT g AS n, 1 + floor(random() * greatest(services.n, 1))::int AS service, 1 + floor(random() * 8)::int AS what,
        random() AS luck, g <= least(%(count)s / 2, 400) AS is_open,
        CASE WHEN g <= least(%(count)s / 2, 400) THEN %(now)s - power(random(), 3) * interval '4 days'
            ELSE %(now)s - interval '1 day' - random() * interval '89 days' END AS last,
        (1 + power(random(), 8) * 20000)::bigint AS events
    FROM generate_series(1, %(count)s) g CROSS JOIN services
), described AS (
    SELECT p.*, services.ids[p.service] AS service_id, coalesce(services.slugs[p.service], 'shop') AS slug,
        (ARRAY['TypeError: cannot read amount of null', 'TimeoutError: payment provider took more than 10 s',
            'IntegrityError: duplicate key in orders', 'KeyError: currency', 'ConnectionResetError: broker went away',
            'ValueError: malformed postcode', 'PermissionError: bucket is read-only',
            'Slow query on catalogue'])[p.what] AS title,
        (ARRAY['views in checkout', 'payments in charge', 'orders in place', 'prices in convert', 'tasks in publish',
            'forms in clean', 'storage in save', 'search in products'])[p.what] AS place,
        last - (CASE WHEN luck < 0.12 THEN 3600 ELSE 3600 * (30 + luck * 900) END) * interval '1 second' AS first
    FROM picked p CROSS JOIN services
)
INSERT INTO monitoring_errorissue (upstream_id, service_id, issue_id, short_id, project, title, culprit, level, platform,
    status, substatus, count, user_count, assigned_to, permalink, trend, raw, content_hash, raw_hash, first_seen_at, last_seen_at,
    regressed_at)
SELECT %(upstream)s, service_id, n::text, upper(slug) || '-' || upper(to_hex(n)), slug, title, place,
    CASE what WHEN 8 THEN 'warning' WHEN 5 THEN 'fatal' ELSE 'error' END, (ARRAY['python', 'node', 'python'])[1 + n %% 3],
    CASE WHEN is_open THEN 'unresolved' WHEN luck < 0.2 THEN 'ignored' ELSE 'resolved' END,
    CASE WHEN NOT is_open THEN '' WHEN luck > 0.93 THEN 'regressed' WHEN luck < 0.12 THEN 'new' ELSE 'ongoing' END,
    events, (events * luck / 3)::bigint, CASE WHEN n %% 5 = 0 THEN 'team ' || slug ELSE '' END,
    'https://sentry.example/organizations/demo/issues/' || n || '/',
    CASE WHEN is_open THEN (SELECT jsonb_agg(jsonb_build_array(
        extract(epoch FROM date_trunc('hour', %(now)s::timestamptz))::bigint - h * 3600,
        floor(abs(sin(n + h)) * 9 * (1 + luck)))) FROM generate_series(0, 23) h) ELSE '[]'::jsonb END,
    jsonb_build_object('metadata', jsonb_build_object('type', split_part(title, ':', 1), 'filename', slug || '/app.py')),
    decode(md5(n::text), 'hex'), ''::bytea, first, last, CASE WHEN is_open AND luck > 0.93 THEN last END
FROM described
"""
STEPS = """
INSERT INTO monitoring_errortransition (issue_id, service_id, kind, at, recorded_at, source, actor, text)
SELECT id, service_id, 'new', first_seen_at, first_seen_at, 'demo', '', '' FROM monitoring_errorissue WHERE upstream_id = %(upstream)s
UNION ALL
SELECT id, service_id, 'resolved', regressed_at - interval '5 hours', regressed_at - interval '5 hours', 'demo', 'demo',
    'Fixed in 2.4.1' FROM monitoring_errorissue WHERE upstream_id = %(upstream)s AND regressed_at IS NOT NULL
UNION ALL
SELECT id, service_id, 'regressed', regressed_at, regressed_at, 'demo', '', ''
FROM monitoring_errorissue WHERE upstream_id = %(upstream)s AND regressed_at IS NOT NULL
UNION ALL
SELECT id, service_id, status, last_seen_at, last_seen_at, 'demo', 'demo', '' FROM monitoring_errorissue
WHERE upstream_id = %(upstream)s AND status <> 'unresolved'
"""
TALLIES = """
INSERT INTO monitoring_errortally (upstream_id, project, service_id, hour, events)
SELECT %(upstream)s, slug, id, date_trunc('hour', %(now)s::timestamptz) - h * interval '1 hour',
    (3 + abs(sin(id + h / 4.0)) * 22 + CASE WHEN h IN (2, 3) THEN 60 ELSE 0 END * (id %% 3))::bigint
FROM core_service CROSS JOIN generate_series(0, 335) h WHERE labels @> '{"demo": "true"}'
ON CONFLICT DO NOTHING
"""
