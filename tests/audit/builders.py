"""Many entries at once, made inside PostgreSQL."""

from datetime import datetime

from django.db import connection

ENTRIES = """
INSERT INTO audit_entry (uid, occurred_at, recorded_at, schema_version, kind, category, type, action, outcome, reason,
    severity, actor_type, actor_id, actor_name, actor_roles, auth_method, auth_factors, session_fp, token_fp, source_ip,
    source_ip_chain, user_agent, http_method, url_path, request_id, client_request_id, trace_id, target_type, target_id,
    target_name, targets, changes, data, writer_id, writer_seq)
SELECT gen_random_uuid(), m, m, 1, 'event', '{{iam}}', '{{change}}',
    (ARRAY['auth.login_failed', 'config.changed', 'alert.acknowledged', 'object.updated', 'data.exported'])[1 + n %% 5],
    CASE WHEN n %% 10 = 0 THEN 'failure' ELSE 'success' END, 'reason ' || n, 1, 'user', n %% 300, 'user-' || n %% 300,
    '{{}}', 'session', '{{}}', '', '', ('198.51.' || n %% 200 || '.' || n %% 250)::inet, '', 'Mozilla/5.0 (X11; Linux)',
    'POST', '/admin/core/service/' || n || '/change/', md5(n::text), '', CASE WHEN n %% 3 = 0 THEN md5('t' || n) ELSE ''
    END, 'core.service', n %% 5000, 'service ' || n %% 5000, '[]', '{{}}', jsonb_build_object('n', n), 'made', n
FROM generate_series(1, %(count)s) n
CROSS JOIN LATERAL (SELECT %(until)s - (%(count)s - n) * (interval '{days} days' / %(count)s)) AS t (m)
"""


def make_entries(count: int, *, until: datetime, days: int = 20) -> None:
    """Insert `count` entries spread evenly over the days before `until`."""
    with connection.cursor() as cursor:
        cursor.execute(ENTRIES.format(days=int(days)), {"count": count, "until": until})
        cursor.execute("ANALYZE audit_entry")
