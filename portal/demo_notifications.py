"""Creates demonstration channels, routes and deliveries. The channels are disabled, so nothing is ever sent."""

from datetime import datetime

from django.db import connection

from alerts.notification_models import Channel, Route

CHANNELS = (
    ("demo-slack", "Slack", "slack://T...2/A...D/T...Q/%23alerts/"),
    ("demo-on-call", "Opsgenie", "opsgenie://e...9/"),
    ("demo-mail", "E-Mail", "mailtos://portal:****@mail.example/team%40example.org"),
)
ROUTES: tuple[tuple[str, int, list[str], bool, tuple[str, ...]], ...] = (
    ("demo-critical", 10, ['severity="critical"'], True, ("demo-on-call", "demo-slack")),
    ("demo-payments", 20, ['team="payments"'], False, ("demo-slack",)),
    ("demo-rest", 90, [], False, ("demo-mail",)),
)
# One delivery, to one channel, for each opened and each resolved transition of a demonstration alert.
DELIVERIES = """
INSERT INTO alerts_notification (batch, channel_id, channel_name, route_id, kind, outcome, reason, subject, body,
    firing, resolved, alert_ids, transition_ids, created_at, queued_at, attempts, answer, finished_at, duration_seconds)
SELECT 'demo:' || t.id, c.id, c.name, r.id, 'message', v.outcome, v.reason,
    CASE WHEN v.outcome = 'withheld' THEN a.alertname ELSE '[' || CASE t.kind WHEN 'opened' THEN 'FIRING' ELSE 'RESOLVED' END
        || '] ' || a.alertname || ' on ' || coalesce(s.slug, 'api') || ' (' || a.severity || ')' END,
    CASE WHEN v.outcome = 'withheld' THEN '' ELSE a.annotations ->> 'summary' END,
    (t.kind = 'opened')::int, (t.kind = 'resolved')::int, ARRAY[a.id], ARRAY[t.id], t.at, t.at,
    CASE v.outcome WHEN 'withheld' THEN 0 WHEN 'failed' THEN 8 ELSE 1 END,
    CASE v.outcome WHEN 'sent' THEN 'Accepted with HTTP 200. It said: ok' WHEN 'failed'
        THEN 'The service failed with HTTP 503, which may pass by itself.' ELSE '' END,
    t.at + interval '31 seconds', CASE v.outcome WHEN 'withheld' THEN NULL ELSE 0.1 + random() END
FROM alerts_transition t JOIN alerts_alert a ON a.id = t.alert_id LEFT JOIN core_service s ON s.id = a.service_id
JOIN alerts_channel c ON c.name = CASE WHEN a.severity = 'critical' THEN 'demo-on-call'
    WHEN a.labels ->> 'team' = 'payments' THEN 'demo-slack' ELSE 'demo-mail' END
JOIN alerts_route r ON r.name = CASE WHEN a.severity = 'critical' THEN 'demo-critical'
    WHEN a.labels ->> 'team' = 'payments' THEN 'demo-payments' ELSE 'demo-rest' END
CROSS JOIN LATERAL (SELECT CASE WHEN t.id % 41 = 0 THEN 'failed' WHEN t.id % 5 = 0 THEN 'withheld' ELSE 'sent' END AS outcome,
    CASE WHEN t.id % 41 = 0 OR t.id % 5 <> 0 THEN CASE t.kind WHEN 'opened' THEN 'first' ELSE 'all_resolved' END
        ELSE (ARRAY['suppressed', 'storm', 'not_yet', 'quiet_hours'])[1 + (t.id / 5) % 4] END AS reason) v
WHERE a.upstream_id = %(upstream)s AND t.kind IN ('opened', 'resolved')
ORDER BY t.at
"""


def seed(upstream_id: int, now: datetime) -> int:
    """Replace the demonstration channels, routes and deliveries; return the number of deliveries."""
    names = [name for name, _service, _shown in CHANNELS]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM alerts_notification WHERE channel_name = ANY(%s)", [names])
    made = {}
    for name, service, shown in CHANNELS:
        facts = {"service": service, "shown_url": shown, "enabled": False, "sent_at": now}
        made[name] = Channel.objects.update_or_create(name=name, defaults=facts)[0]
    for name, position, matchers, goes_on, channels in ROUTES:
        facts = {"position": position, "matchers": matchers, "goes_on": goes_on, "enabled": False,
                 "group_by": ["alertname", "service"]}  # fmt: skip
        route, _created = Route.objects.update_or_create(name=name, defaults=facts)
        route.channels.set([made[channel] for channel in channels])
    with connection.cursor() as cursor:
        cursor.execute(DELIVERIES.replace(" % ", " %% "), {"upstream": upstream_id})
        return int(cursor.rowcount)
