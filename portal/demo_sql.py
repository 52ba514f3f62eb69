"""SQL statements for portal/demo.py: everything random comes from PostgreSQL's seeded generator."""

TARGETS = """
INSERT INTO monitoring_target (upstream_id, service_id, job, instance, scrape_url, labels, health, error, changed_at)
SELECT %(upstream)s, s.id, s.slug, s.slug || '-' || n || ':9090', 'http://' || s.slug || '-' || n || ':9090/metrics',
    jsonb_build_object('job', s.slug, 'instance', s.slug || '-' || n || ':9090', 'service', s.slug), h.health,
    CASE h.health WHEN 'down' THEN 'connection refused' ELSE '' END, %(now)s - random() * interval '9 days'
FROM core_service s CROSS JOIN generate_series(1, 3) n
CROSS JOIN LATERAL (SELECT CASE WHEN s.id %% 17 = 3 OR (s.id %% 7 = 2 AND n = 1) THEN 'down' ELSE 'up' END AS health) h
WHERE s.labels @> '{"demo": "true"}'
ON CONFLICT DO NOTHING
"""

STATUSES = """
WITH judged AS (
    SELECT service_id,
        CASE count(*) FILTER (WHERE health = 'down') WHEN 0 THEN 'up' WHEN 3 THEN 'down' ELSE 'degraded' END AS status,
        CASE count(*) FILTER (WHERE health = 'down') WHEN 0 THEN ''
            WHEN 3 THEN 'All 3 targets are down: connection refused.' ELSE '1 of 3 targets is down.' END AS reason,
        count(*) FILTER (WHERE health = 'up') AS up, count(*) FILTER (WHERE health = 'down') AS down
    FROM monitoring_target WHERE upstream_id = %(upstream)s AND service_id IS NOT NULL GROUP BY service_id
)
INSERT INTO monitoring_servicestatus (service_id, upstream_id, status, reason, since, targets_status, targets_reason,
    targets_up, targets_down, checks_status, checks_reason)
SELECT service_id, %(upstream)s, status, reason, %(now)s - random() * interval '2 days', status, reason, up, down, '', ''
FROM judged
ON CONFLICT (service_id) DO UPDATE SET status = excluded.status, reason = excluded.reason,
    targets_status = excluded.targets_status, targets_reason = excluded.targets_reason, upstream_id = excluded.upstream_id, targets_up = excluded.targets_up, targets_down = excluded.targets_down
"""

# Three short outages per service that do not overlap, before the two days that STATUSES covers.
FLIPS = """
WITH mine AS (
    SELECT id FROM core_service WHERE labels @> '{"demo": "true"}'
), spells AS (
    SELECT id, CASE n WHEN 1 THEN 'down' ELSE 'degraded' END AS status,
        %(now)s - (%(days)s * (0.1 + 0.3 * (n - 1) + 0.25 * random())) * interval '1 day' AS at,
        (4 + 50 * random()) * interval '1 minute' AS lasted
    FROM mine CROSS JOIN generate_series(1, 3) n
)
INSERT INTO monitoring_statuschange (service_id, old_status, new_status, reason, at)
SELECT id, 'unknown', 'up', '', %(now)s - %(days)s * interval '1 day' FROM mine
UNION ALL
SELECT id, 'up', status, CASE status WHEN 'down' THEN 'All 3 targets are down: connection refused.'
    ELSE '1 of 3 targets is down.' END, at FROM spells
UNION ALL
SELECT id, status, 'up', '', at + lasted FROM spells
UNION ALL
SELECT service_id, 'up', status, reason, since FROM monitoring_servicestatus JOIN mine ON id = service_id
WHERE status <> 'up'
"""

SINCE = """
UPDATE monitoring_servicestatus status SET since = last.at FROM (
    SELECT service_id, max(at) AS at FROM monitoring_statuschange WHERE check_row_id IS NULL GROUP BY service_id
) last JOIN core_service s ON s.id = last.service_id AND s.labels @> '{"demo": "true"}'
WHERE status.service_id = last.service_id
"""

EPISODES = """
WITH services AS (
    SELECT array_agg(id ORDER BY id) AS ids, array_agg(slug ORDER BY id) AS slugs, count(*)::int AS n
    FROM core_service WHERE labels @> '{"demo": "true"}'
), picked AS (
    SELECT g AS n, 1 + floor(random() * 8)::int AS rule, 1 + floor(random() * 40)::int AS host,
        1 + floor(random() * greatest(services.n, 1))::int AS service, random() AS luck,
        %(now)s - (power(random(), 1.4) * %(days)s) * interval '1 day' - interval '3 minutes' AS starts,
        (30 + power(random(), 3) * 14400) * interval '1 second' AS lasted,
        g <= least(%(count)s / 2, 60) AS is_open
    FROM generate_series(1, %(count)s) g CROSS JOIN services
), ended AS (
    -- What began lately has not lasted longer than until now.
    SELECT n, rule, host, service, luck, starts, is_open,
        CASE WHEN is_open THEN lasted ELSE least(lasted, %(now)s - starts - interval '1 minute') END AS lasted
    FROM picked
), described AS (
    SELECT p.*, services.ids[p.service] AS service_id, coalesce(services.slugs[p.service], 'api') AS slug,
        (ARRAY['HighErrorRate', 'InstanceDown', 'SlowResponses', 'DiskFillingUp', 'HighCPU', 'QueueBacklog',
            'CertificateExpiring', 'MemoryPressure'])[p.rule] AS name,
        (ARRAY['critical', 'critical', 'warning', 'warning', 'warning', 'warning', 'info', 'warning'])[p.rule] AS severity,
        (ARRAY['answers 7 %% of requests with errors', 'has not been scraped for a minute',
            'needs more than a second for every tenth request', 'fills its disk within four hours',
            'uses 96 %% of its CPU', 'has 12,000 waiting messages', 'shows a certificate with 9 days left',
            'has less than 5 %% of memory free'])[p.rule] AS complaint
    FROM ended p CROSS JOIN services
)
INSERT INTO alerts_alert (upstream_id, fingerprint, alertname, severity, service_id, state, labels, annotations,
    receivers, generator_url, content_hash, starts_at, ends_at, resolved_after, resolved_before, first_seen_at,
    closed_at, closed_by, silenced_by, inhibited_by, acknowledged_by, acknowledged_at)
SELECT %(upstream)s, lpad(to_hex(n::bigint * 2654435761 %% 9007199254740991), 16, '0'), name, severity, service_id,
    CASE WHEN NOT is_open THEN 'resolved' WHEN luck < 0.15 THEN 'suppressed' ELSE 'firing' END,
    jsonb_build_object('alertname', name, 'severity', severity, 'service', slug, 'cluster', 'eu-1',
        'instance', slug || '-' || host || ':9090', 'team', (ARRAY['payments', 'search', 'platform', 'identity'])[1 + host %% 4]),
    jsonb_build_object('summary', slug || '-' || host || ' ' || complaint, 'runbook_url',
        'https://runbooks.example/' || name),
    '{on-call}', 'https://prometheus.example/graph?g0.expr=' || name, decode(md5(n::text), 'hex'),
    CASE WHEN is_open THEN %(now)s - lasted / 2 ELSE starts END,
    CASE WHEN is_open THEN NULL ELSE starts + lasted END, CASE WHEN is_open THEN NULL ELSE starts + lasted END,
    CASE WHEN is_open THEN NULL ELSE starts + lasted + interval '15 seconds' END,
    CASE WHEN is_open THEN %(now)s - lasted / 2 ELSE starts END, CASE WHEN is_open THEN NULL ELSE starts + lasted END,
    CASE WHEN is_open THEN '' ELSE 'demo' END,
    CASE WHEN is_open AND luck < 0.15 THEN '{00000000-0000-4000-8000-000000000001}'::varchar[] ELSE '{}' END, '{}',
    CASE WHEN luck > 0.6 THEN 'demo' ELSE '' END,
    CASE WHEN luck > 0.6 THEN (CASE WHEN is_open THEN %(now)s - lasted / 3 ELSE starts + lasted / 3 END) END
FROM described
"""

TRANSITIONS = """
INSERT INTO alerts_transition (alert_id, kind, at, recorded_at, source, actor, text, data, routed_at)
SELECT id, 'opened', starts_at, starts_at, 'demo', '', '', '{}'::jsonb, starts_at FROM alerts_alert WHERE upstream_id = %(upstream)s
UNION ALL
SELECT id, 'acknowledged', acknowledged_at, acknowledged_at, 'demo', 'demo', 'Looking at it', '{}'::jsonb, acknowledged_at
FROM alerts_alert WHERE upstream_id = %(upstream)s AND acknowledged_at IS NOT NULL
UNION ALL
SELECT id, 'resolved', ends_at, ends_at, 'demo', '', '', '{}'::jsonb, ends_at FROM alerts_alert
WHERE upstream_id = %(upstream)s AND ends_at IS NOT NULL
"""

ENTRIES = """
WITH picked AS (
    SELECT n, random() AS luck, 1 + floor(random() * 6)::int AS who, 1 + floor(random() * 12)::int AS what,
        %(now)s - (random() * %(days)s) * interval '1 day' AS at FROM generate_series(1, %(count)s) n
), named AS (
    SELECT p.*, (ARRAY['auth.login_succeeded', 'auth.logout', 'alert.acknowledged', 'alert.commented',
        'silence.created', 'auth.login_failed', 'token.created', 'object.updated', 'data.exported',
        'mfa.verified', 'permission.denied', 'token.new_client'])[what] AS action FROM picked p
), demo AS (
    SELECT array_agg(slug ORDER BY id) AS slugs FROM core_service WHERE labels @> '{"demo": "true"}'
)
INSERT INTO audit_entry (uid, occurred_at, recorded_at, schema_version, kind, category, type, action, code, outcome, reason,
    severity, actor_type, actor_id, actor_name, actor_roles, auth_method, auth_factors, session_fp, token_fp,
    source_ip, geo_country, asn, source_ip_chain, user_agent, http_method, url_path, request_id, client_request_id, trace_id,
    target_type, target_id, target_name, targets, changes, data, writer_id, writer_seq)
SELECT gen_random_uuid(), at, at, 2, 'event',
    CASE WHEN action LIKE 'auth%%' OR action LIKE 'mfa%%' THEN '{authentication}'::varchar[] ELSE '{configuration}' END,
    '{change}', action, coalesce(%(codes)s::jsonb ->> action, ''), CASE WHEN what IN (6, 11) THEN 'failure' ELSE 'success' END,
    CASE what WHEN 6 THEN 'bad_password' WHEN 11 THEN 'lacks scope monitoring:write' ELSE '' END,
    CASE WHEN what IN (6, 11) THEN 3 ELSE 1 END, 'user', who::text,
    'demo-' || who, '{staff}', 'session', '{password,otp}', substr(md5(n::text), 1, 16), '',
    ('192.0.2.' || (1 + n %% 250))::inet, (ARRAY['DE', 'NL', 'FR', 'US'])[1 + n %% 4], 64496 + n %% 4, '', 'Mozilla/5.0 (demonstration)', 'POST', '/admin/', md5(n::text || 'r'),
    '', '', CASE WHEN what IN (3, 4, 5) THEN 'alerts.alert' WHEN what IN (7, 12) THEN 'security.apitoken'
        WHEN what = 8 THEN 'core.service' ELSE 'auth.user' END, (n %% 5000)::text,
    CASE WHEN what IN (3, 4, 5) THEN 'HighErrorRate' WHEN what IN (7, 12) THEN 'demo-deploy'
        WHEN what = 8 THEN coalesce(slugs[1 + n %% cardinality(slugs)], 'demo') ELSE 'demo-' || who END, '[]', '{}',
    CASE WHEN what IN (3, 4, 5, 8) AND slugs IS NOT NULL THEN jsonb_build_object('demo', true,
        'service', slugs[1 + n %% cardinality(slugs)]) ELSE '{"demo": true}' END, 'demo', n
FROM named, demo
"""

SILENCES = """
INSERT INTO alerts_silence (upstream_id, silence_id, matchers, comment, created_by, starts_at, ends_at, updated_at)
SELECT %(upstream)s, '00000000-0000-4000-8000-' || lpad(n::text, 12, '0'),
    jsonb_build_array(jsonb_build_object('name', 'alertname', 'operator', '=', 'value',
        (ARRAY['DiskFillingUp', 'QueueBacklog', 'HighCPU'])[1 + n %% 3])),
    (ARRAY['Disks are being replaced', 'Nightly import', 'Load test'])[1 + n %% 3], 'demo',
    %(now)s - interval '1 hour' * n, %(now)s + interval '1 hour' * (8 - n), %(now)s
FROM generate_series(1, 12) n
"""

CLEAR_TRANSITIONS = """
DELETE FROM alerts_transition t USING alerts_alert a WHERE a.id = t.alert_id AND a.upstream_id = %s
"""
