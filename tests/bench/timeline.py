"""The timeline page with ten thousand and a million rows of each kind. Runs last: it leaves them behind."""

from collections.abc import Iterator
from datetime import datetime

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import partitions
from portal.core.models import Service, Upstream
from tests.bench.table import Row, side_by_side
from tests.factories import make_user, sign_in

FEW, MANY, SERVICES = 10_000, 1_000_000, 200
SPREAD = "now() - n * interval '2 seconds'"
FILL = (
    """INSERT INTO alerts_alert (upstream_id, fingerprint, alertname, severity, service_id, state, labels, annotations,
        receivers, generator_url, content_hash, starts_at, ends_at, resolved_after, resolved_before, first_seen_at,
        closed_at, closed_by, silenced_by, inhibited_by, acknowledged_by)
    SELECT %(alertmanager)s, 'tl' || n, 'Bench', 'warning', %(first)s + n %% %(services)s, 'resolved', '{}', '{}',
        '{}', '', '', @at, @at + interval '1 minute', @at, @at, @at, @at, 'demo',
        '{}', '{}', '' FROM generate_series(%(from)s::int, %(to)s::int) n""",
    """INSERT INTO alerts_silence (upstream_id, silence_id, matchers, comment, created_by, starts_at, ends_at, updated_at)
    SELECT %(alertmanager)s, 'tl' || n, jsonb_build_array(jsonb_build_object('name', 'service', 'operator', '=',
        'value', 'bench-tl-' || n %% %(services)s)), 'bench', 'bench', @at, @at, @at
    FROM generate_series(%(from)s::int, %(to)s::int) n""",
    """INSERT INTO monitoring_statuschange (service_id, old_status, new_status, reason, at)
    SELECT %(first)s + n %% %(services)s, 'up', 'down', 'bench', @at
    FROM generate_series(%(from)s::int, %(to)s::int) n""",
    """INSERT INTO monitoring_deploy (uid, service_id, version, environment, revision, url, description, actor, at,
        recorded_at)
    SELECT gen_random_uuid(), %(first)s + n %% %(services)s, 'v' || n, '', '', '', '', 'ci', @at, @at
    FROM generate_series(%(from)s::int, %(to)s::int) n""",
    """INSERT INTO monitoring_errorissue (upstream_id, service_id, issue_id, short_id, project, title, culprit, level,
        platform, status, substatus, count, user_count, assigned_to, permalink, trend, raw, content_hash, raw_hash,
        first_seen_at, last_seen_at)
    SELECT %(sentry)s, %(first)s + n %% %(services)s, n::text, 'TL-' || n, 'shop', 'Bench', '', 'error', 'python',
        'resolved', '', 1, 1, '', '', '[]', '{}', '', '', @at, @at
    FROM generate_series(%(from)s::int / 10 + 1, %(to)s::int / 10) n""",
    """INSERT INTO monitoring_errortransition (issue_id, service_id, kind, at, recorded_at, source, actor, text)
    SELECT i.id, i.service_id, 'new', @at, @at, 'demo', '', '' FROM generate_series(%(from)s::int, %(to)s::int) n
    JOIN monitoring_errorissue i ON i.upstream_id = %(sentry)s AND i.issue_id = (1 + n %% (%(to)s / 10))::text""",
    """INSERT INTO security_flag (rule, subject_kind, subject, subject_name, score, sentence, counts, evidence, first_at,
        last_at, opened_at, status, decided_at, decided_by, decision_reason)
    SELECT 'scanner', 'address', 'tl' || n, '', 50, 'bench', '{}', '[]', @at, @at, @at, 'dismissed',
        @at, '', '' FROM generate_series(%(from)s::int, %(to)s::int) n""",
    """INSERT INTO security_flagservice (flag_id, slug, opened_at)
    SELECT id, 'bench-tl-' || n %% %(services)s, opened_at FROM generate_series(%(from)s::int, %(to)s::int) n
    JOIN security_flag ON rule = 'scanner' AND subject = 'tl' || n""",
    """INSERT INTO audit_entry (uid, occurred_at, recorded_at, schema_version, kind, category, type, action, outcome,
        reason, severity, actor_type, actor_id, actor_name, actor_roles, auth_method, auth_factors, session_fp,
        token_fp, source_ip_chain, user_agent, http_method, url_path, request_id, client_request_id, trace_id,
        target_type, target_id, target_name, targets, changes, data, writer_id, writer_seq)
    SELECT gen_random_uuid(), @at, @at, 1, 'event', '{}', '{}', 'config.changed', 'success', '', 1, 'user',
        '', 'bench', '{}', '', '{}', '', '', '', '', '', '', '', '', '', 'core.service',
        (%(first)s + n %% %(services)s)::text, '', '[]', '{}',
        jsonb_build_object('service', 'bench-tl-' || n %% %(services)s), 'bench', n
    FROM generate_series(%(from)s::int, %(to)s::int) n""",
)
TABLES = (
    "alerts_alert, alerts_silence, monitoring_statuschange, monitoring_deploy, monitoring_errorissue,"
    " monitoring_errortransition, security_flag, security_flagservice, audit_entry"
)  # fmt: skip


def measure() -> Iterator[Row]:
    client = Client()
    sign_in(client, make_user())
    facts = _base()
    paths = {
        "timeline page": "/admin/timeline/",
        "timeline of one service": "/admin/timeline/?service=bench-tl-7",
        "API: timeline": "/api/v1/timeline/",
    }
    _grow(facts, 1, FEW)
    few = {name: _time(client, path) for name, path in paths.items()}
    _grow(facts, FEW + 1, MANY)
    for name, path in paths.items():
        taken, queries = _time(client, path)
        least, before = few[name]
        what = f"{name} at {MANY:,} rows of each kind"
        floor = f"{least * 1000:.0f} ms at {FEW:,}"
        yield Row(what, f"{taken * 1000:.0f} ms", floor, taken / least, 2)
        more = queries - before
        yield Row("  queries more", str(more), "0", more, 0, "queries")


def _base() -> dict[str, int]:
    partitions.ensure(at=_now(), months_back=2)
    hidden = {"url": "http://127.0.0.1:9", "enabled": False}
    alertmanager = Upstream.objects.create(name="bench-tl-am", kind="alertmanager", **hidden)
    sentry = Upstream.objects.create(name="bench-tl-sentry", kind="sentry", **hidden)
    made = Service.objects.bulk_create(
        Service(slug=f"bench-tl-{n}", name=f"Bench {n}") for n in range(SERVICES)
    )
    first = min(service.pk for service in made)
    return {
        "alertmanager": alertmanager.pk,
        "sentry": sentry.pk,
        "first": first,
        "services": SERVICES,
    }


def _now() -> datetime:
    return timezone.now()


def _grow(facts: dict[str, int], first: int, last: int) -> None:
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement.replace("@at", SPREAD), {**facts, "from": first, "to": last})
        cursor.execute(f"ANALYZE {TABLES}")


def _time(client: Client, path: str) -> tuple[float, int]:
    def show() -> None:
        assert client.get(path).status_code == 200

    show()
    with CaptureQueriesContext(connection) as captured:
        show()
    taken, _ = side_by_side(show, show, rounds=9)
    return taken, len(captured)
