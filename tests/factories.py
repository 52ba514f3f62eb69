"""Builders that create valid, saved rows; keyword arguments override any field."""

import hashlib
import itertools
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_otp import DEVICE_ID_SESSION_KEY

from alerts import channels
from alerts.models import Alert, Silence, State, Transition
from alerts.notification_models import Channel, Route
from monitoring.models import (
    Check,
    ErrorIssue,
    Panel,
    Rule,
    ScrapeTarget,
    ServiceStatus,
    Status,
    Target,
)
from portal.core.models import Service, Upstream
from security import sessions
from security.models import Flag, TotpDevice
from security.session_store import SessionStore

_numbers = itertools.count(1)
PASSWORD = "correct horse battery staple"
SEED = "JBSWY3DPEHPK3PXP"


def make_user(*, verified: bool = True, **over: Any) -> User:
    """Return a superuser; `verified` gives it a confirmed authenticator app (seed `SEED`)."""
    fields = {"username": f"user{next(_numbers)}", "is_staff": True, "is_superuser": True, **over}
    user = User(**fields)
    user.set_password(PASSWORD)
    user.save()
    if verified:
        TotpDevice.objects.create(user=user, name="Authenticator app", confirmed=True, seed=SEED)
    return user


def make_session(user: User) -> str:
    """Return the key of a session in which `user` has passed password and second factor."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    device = TotpDevice.objects.filter(user=user, confirmed=True).first()
    if device is not None:
        session[DEVICE_ID_SESSION_KEY] = device.persistent_id
        session[sessions.VERIFIED_AT] = int(time.time())
    session.create()
    return str(session.session_key)


def sign_in(client: Client, user: User | None = None) -> User:
    """Give `client` a verified session of `user` (default: a new superuser) and return the user."""
    user = user or make_user()
    client.cookies[settings.SESSION_COOKIE_NAME] = make_session(user)
    return user


def make_upstream(*, live: bool = True, **over: Any) -> Upstream:
    """Return an upstream; `live` makes it look successfully polled just now."""
    now = timezone.now()
    kind = over.get("kind", Upstream.Kind.ALERTMANAGER)
    polled: dict[str, Any] = {
        "attempted_at": now,
        "succeeded_at": now,
        "success_streak_since": now - timedelta(hours=1),
        "duration_seconds": 0.03,
    }
    fields = {
        "name": f"{kind}-{next(_numbers)}",
        "kind": kind,
        "url": "http://127.0.0.1:9",
        **(polled if live else {}),
        **over,
    }
    return Upstream.objects.create(**fields)


def make_service(**over: Any) -> Service:
    number = next(_numbers)
    return Service.objects.create(
        **{
            "slug": f"service-{number}",
            "name": f"Service {number}",
            "matchers": [f'job="service-{number}"'],
            **over,
        }
    )


def make_status(service: Service, status: str = Status.UP, **over: Any) -> ServiceStatus:
    """Return the current status of `service`, as reported by a Prometheus."""
    upstream = over.pop("upstream", None) or make_upstream(kind=Upstream.Kind.PROMETHEUS)
    fields = {"since": timezone.now() - timedelta(hours=2), "targets_up": 1, **over}
    fields |= {"targets_status": status, "targets_reason": fields.get("reason", "")}
    return ServiceStatus.objects.create(service=service, upstream=upstream, status=status, **fields)


def make_check(**over: Any) -> Check:
    """Return an HTTP check that ran just now and was up."""
    now = timezone.now()
    fields = {
        "name": f"Check {next(_numbers)}",
        "kind": "http",
        "target": "http://127.0.0.1:9/",
        "status": Status.UP,
        "last_run_at": now,
        "next_run_at": now + timedelta(seconds=30),
        **over,
    }
    fields.setdefault("service", None)
    service = fields.pop("service") or make_service()
    return Check.objects.create(service=service, **fields)


def make_target(upstream: Upstream, **over: Any) -> Target:
    number = next(_numbers)
    return Target.objects.create(
        **{
            "upstream": upstream,
            "job": "node",
            "instance": f"10.0.0.{number % 250}:9100",
            "scrape_url": f"http://10.0.0.{number % 250}:9100/metrics?{number}",
            "health": "up",
            "changed_at": timezone.now() - timedelta(hours=1),
            **over,
        }
    )


def build_alert(upstream: Upstream, **over: Any) -> Alert:
    """Return an unsaved open episode; give `state="resolved"` for a closed one."""
    number, now = next(_numbers), timezone.now()
    name = over.get("alertname", "HighCPU")
    labels = {
        "alertname": name,
        "severity": over.get("severity", "warning"),
        "instance": f"host-{number}:9100",
    }
    fields: dict[str, Any] = {
        "upstream": upstream,
        "fingerprint": f"{number:016x}",
        "alertname": name,
        "severity": "warning",
        "labels": labels,
        "annotations": {"summary": f"{name} on host-{number}"},
        "starts_at": now - timedelta(minutes=5),
        "first_seen_at": now - timedelta(minutes=5),
        "content_hash": hashlib.blake2b(str(number).encode(), digest_size=16).digest(),
    }
    if over.get("state") == State.RESOLVED:
        fields["ends_at"] = now - timedelta(minutes=1)
    return Alert(**{**fields, **over})


def make_alert(**over: Any) -> Alert:
    alert = build_alert(over.pop("upstream", None) or make_upstream(), **over)
    alert.save()
    return alert


def make_silence(**over: Any) -> Silence:
    now = timezone.now()
    fields: dict[str, Any] = {
        "silence_id": f"00000000-0000-4000-8000-{next(_numbers):012d}",
        "matchers": [{"name": "alertname", "operator": "=", "value": "HighCPU"}],
        "comment": "Planned work on the hosts",
        "created_by": "operator",
        "starts_at": now - timedelta(hours=1),
        "ends_at": now + timedelta(hours=1),
        "updated_at": now - timedelta(hours=1),
        **over,
    }
    fields["upstream"] = fields.get("upstream") or make_upstream()
    return Silence.objects.create(**fields)


def make_panel(**over: Any) -> Panel:
    number = next(_numbers)
    return Panel.objects.create(
        **{"slug": f"panel-{number}", "title": f"Panel {number}", "promql": "up", **over}
    )


def make_rule(**over: Any) -> Rule:
    """Return a rule whose expression a Prometheus has accepted."""
    number = next(_numbers)
    fields = {"name": f"Rule{number}", "expr": "up == 0", "accepted_at": timezone.now(), **over}
    return Rule.objects.create(**fields)


def make_scrape_target(service: Service | None = None, **over: Any) -> ScrapeTarget:
    fields = {"address": f"10.0.0.{next(_numbers) % 250}:9100", **over}
    return ScrapeTarget.objects.create(service=service or make_service(), **fields)


def make_sentry(url: str = "http://127.0.0.1:9", *, live: bool = True, **over: Any) -> Upstream:
    """Return a Sentry with organisation and token; `over` may contain further options."""
    options = {"organization": "acme", **over.pop("options", {})}
    fields = {"options": options, "credentials": {"token": "sntrys_for_tests"}, **over}
    return make_upstream(live=live, kind=Upstream.Kind.SENTRY, url=url, **fields)


def make_elasticsearch(url: str = "http://127.0.0.1:9", **over: Any) -> Upstream:
    return make_upstream(kind=Upstream.Kind.ELASTICSEARCH, url=url, **over)


def make_error(upstream: Upstream | None = None, **over: Any) -> ErrorIssue:
    """Return an unresolved issue that began three days ago and was last seen a minute ago."""
    number, now = next(_numbers), timezone.now()
    fields: dict[str, Any] = {
        "issue_id": str(number),
        "short_id": f"SHOP-{number}",
        "project": "shop",
        "title": f"TypeError: bad thing {number}",
        "culprit": "shop.views in checkout",
        "level": "error",
        "platform": "python",
        "status": "unresolved",
        "count": 12,
        "user_count": 3,
        "permalink": f"https://sentry.example/organizations/acme/issues/{number}/",
        "content_hash": b"",
        "first_seen_at": now - timedelta(days=3),
        "last_seen_at": now - timedelta(minutes=1),
        **over,
    }
    return ErrorIssue.objects.create(upstream=upstream or make_sentry(), **fields)


def make_channel(url: str = "json://127.0.0.1:9/hook", **over: Any) -> Channel:
    fields = {"name": f"channel-{next(_numbers)}", "timeout_seconds": 5, **over}
    return channels.save(Channel(**fields), url=url, actor=None)


def make_route(*to: Channel, **over: Any) -> Route:
    """Return a route without waiting times, so that a test needs no clock."""
    number = next(_numbers)
    fields = {"name": f"route-{number}", "position": number, "group_wait_seconds": 0, **over}
    route = Route.objects.create(**fields)
    route.channels.set(to)
    return route


def make_transition(alert: Alert, kind: str = "opened", **over: Any) -> Transition:
    fields = {"at": timezone.now(), "source": "poll", **over}
    return Transition.objects.create(alert=alert, kind=kind, **fields)


def make_flag(**over: Any) -> Flag:
    """Return an open flag of a unique address, with one piece of evidence; `services` are slugs it concerns."""
    slugs = over.pop("services", ())
    now, number = timezone.now(), next(_numbers)
    address = f"198.51.100.{number % 250}"
    fact = {"id": number, "at": now.isoformat(), "action": "auth.login_failed", "outcome": "failure",
            "reason": "bad_password", "actor": "anonymous", "target": "operator", "address": address,
            "path": "/admin/login/"}  # fmt: skip
    fields: dict[str, Any] = {
        "rule": "brute_force_address", "subject_kind": "address", "subject": address, "score": 64,
        "sentence": f"8 failed sign-ins from {address} within 120 s.", "counts": {"failures": 8}, "evidence": [fact],
        "first_at": now - timedelta(minutes=5), "last_at": now, **over,
    }  # fmt: skip
    flag = Flag.objects.create(**fields)
    for slug in slugs:
        flag.services.create(slug=slug, opened_at=flag.opened_at)
    return flag
