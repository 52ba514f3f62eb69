"""Which services the flags and tokens concern that are there already: judged by what is kept of them."""

from django.db import migrations

# The page that connects a service has called its tokens by the slug, with these scopes at most.
TOKENS = """
UPDATE security_apitoken token SET service_id = service.id FROM core_service service
WHERE token.name = service.slug AND token.scopes <@ '{audit:write,monitoring:write}';
"""
# Of the newest flags, by number and time of each entry, so that one partition is looked at for each.
FLAGS = """
INSERT INTO security_flagservice (flag_id, slug, opened_at)
SELECT DISTINCT flag.id, service.slug, flag.opened_at
FROM (SELECT id, opened_at, evidence FROM security_flag ORDER BY last_at DESC, id DESC LIMIT 10000) flag
CROSS JOIN LATERAL jsonb_array_elements(flag.evidence) fact
JOIN audit_entry entry
    ON entry.id = (fact ->> 'id')::bigint AND entry.recorded_at = (fact ->> 'at')::timestamptz
JOIN core_service service ON service.slug = entry.data ->> 'service'
ON CONFLICT DO NOTHING;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0007_service_of_entry"),
        ("security", "0011_services_of_flags_and_tokens"),
    ]

    operations = [migrations.RunSQL(TOKENS + FLAGS, migrations.RunSQL.noop)]
