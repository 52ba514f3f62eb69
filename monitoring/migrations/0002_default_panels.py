"""Four charts that every installation starts with; staff may change or delete them."""

from django.db import migrations

BUCKETS = "django_http_requests_latency_seconds_by_view_method_bucket"
PANELS = (
    {
        "slug": "cpu",
        "title": "CPU",
        "description": "Busy share of all cores, per machine.",
        "promql": '100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval])))',
        "legend": "{{instance}}",
        "unit": "percent",
        "warning_above": 80,
        "critical_above": 95,
        "alert_matchers": ['alertname=~"(?i:.*(cpu|load).*)"'],
        "position": 10,
    },
    {
        "slug": "memory",
        "title": "Memory",
        "description": "Used share of the memory, per machine.",
        "promql": "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
        "legend": "{{instance}}",
        "unit": "percent",
        "warning_above": 85,
        "critical_above": 95,
        "alert_matchers": ['alertname=~"(?i:.*(memory|oom|swap).*)"'],
        "position": 20,
    },
    {
        "slug": "database",
        "title": "Database usage",
        "description": "Connections to the portal's PostgreSQL, by state.",
        "promql": "sum by (state) (portal_database_connections)",
        "legend": "{{state}}",
        "unit": "number",
        "warning_above": None,
        "critical_above": None,
        "alert_matchers": ['alertname=~"(?i:.*(database|postgres|connections).*)"'],
        "position": 30,
    },
    {
        "slug": "api-latency",
        "title": "API response time",
        "description": "How long the portal takes to answer, 50th, 95th and 99th percentile.",
        "promql": " or ".join(
            f'label_replace(histogram_quantile({q}, sum by (le) (rate({BUCKETS}[$__rate_interval]))),'
            f' "quantile", "{name}", "", "")'
            for q, name in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))
        ),
        "legend": "{{quantile}}",
        "unit": "seconds",
        "warning_above": None,
        "critical_above": None,
        "alert_matchers": ['alertname=~"(?i:.*(latency|slow|responsetime|5xx|errorrate).*)"'],
        "position": 40,
    },
)


def add(apps, schema_editor):
    panel = apps.get_model("monitoring", "Panel")
    for fields in PANELS:
        panel.objects.get_or_create(slug=fields["slug"], defaults=fields)


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
