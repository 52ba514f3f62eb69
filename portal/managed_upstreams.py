"""Creates rows, marked as managed, at start-up for the upstreams that the environment defines."""

import logging
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from django.apps import apps
from django.conf import settings
from django.db.models.signals import post_migrate

from alerts import notify_env
from portal.core.models import Upstream
from security.siem import destinations

log = logging.getLogger(__name__)


# The rules in docker/prometheus/ make this alert fire all the time. While it is missing, Prometheus or
# its connection to Alertmanager is broken, and alerts must not be closed because they are absent.
WATCHDOG = {"watchdogs": [{"watchdog": ['alertname="Watchdog"'], "covers": []}]}


# Sentry limits API calls per second and caller, and errors need not appear within seconds.
SENTRY_SECONDS = 60
ELASTICSEARCH_SECONDS = 30  # only its health is polled


@dataclass(frozen=True, slots=True)
class DesiredUpstream:
    """An upstream row as the environment defines it.

    `options` are defaults for an embedded server, which the row's options override; `enforced` options
    come from variables and override the row's.
    """

    kind: str
    url: str
    options: dict[str, Any] = field(default_factory=dict)
    enforced: dict[str, Any] = field(default_factory=dict)
    credentials: Any = field(default_factory=dict, repr=False)
    interval_seconds: int = 0  # 0: POLL_SECONDS


def desired() -> dict[str, DesiredUpstream]:
    """Return the rows that the environment defines, by name; an Alertmanager cluster is one row."""
    found = {}
    for number, written in enumerate(settings.PROMETHEUS_URL):
        name = "prometheus" if number == 0 else f"prometheus-{number + 1}"
        url, login = _apart(written)
        found[name] = DesiredUpstream(Upstream.Kind.PROMETHEUS.value, url, credentials=login)
    if settings.ALERTMANAGER_URL:
        ours = (
            "alertmanager" in settings.PORTAL_EMBEDDED and "prometheus" in settings.PORTAL_EMBEDDED
        )
        members = [_apart(written) for written in settings.ALERTMANAGER_URL]
        found["alertmanager"] = DesiredUpstream(
            Upstream.Kind.ALERTMANAGER.value,
            ",".join(url for url, _login in members),
            WATCHDOG if ours else {},
            credentials=next((login for _url, login in members if login), {}),
        )
    if settings.CROWDSEC_URL:
        found["crowdsec"] = _crowdsec()
    if settings.ELASTICSEARCH_URL:
        found["elasticsearch"] = _elasticsearch()
    if settings.SENTRY_API_URL:
        found["sentry"] = _sentry()
    return found


def _apart(written: str) -> tuple[str, dict[str, str]]:
    """Return a URL without user and password, and the two as credentials: a row shows its URL but hides those."""
    parts = urlsplit(written)
    login = {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return url, {name: value for name, value in login.items() if value}


def _crowdsec() -> DesiredUpstream:
    known = {
        "machine": settings.CROWDSEC_MACHINE,
        "password": settings.CROWDSEC_PASSWORD,
        "bouncer_key": settings.CROWDSEC_BOUNCER_KEY,
    }
    return DesiredUpstream(
        Upstream.Kind.CROWDSEC.value,
        settings.CROWDSEC_URL,
        credentials={name: value for name, value in known.items() if value},
    )


def _sentry() -> DesiredUpstream:
    return DesiredUpstream(
        Upstream.Kind.SENTRY.value,
        settings.SENTRY_API_URL,
        enforced={"organization": settings.SENTRY_ORG} if settings.SENTRY_ORG else {},
        credentials={"token": settings.SENTRY_API_TOKEN} if settings.SENTRY_API_TOKEN else {},
        interval_seconds=max(settings.POLL_SECONDS, SENTRY_SECONDS),
    )


def _elasticsearch() -> DesiredUpstream:
    """Return the row of ELASTICSEARCH_URL; user and password in it become credentials of the row."""
    url, login = _apart(settings.ELASTICSEARCH_URL)
    if settings.ELASTICSEARCH_API_KEY:
        login = {"token": settings.ELASTICSEARCH_API_KEY}
    index = settings.ELASTICSEARCH_INDEX
    return DesiredUpstream(
        Upstream.Kind.ELASTICSEARCH.value,
        url,
        enforced={"index": index} if index else {},
        credentials=login,
        interval_seconds=max(settings.POLL_SECONDS, ELASTICSEARCH_SECONDS),
    )


def synchronise() -> list[str]:
    """Create or update the managed rows; return the names of those that changed.

    A row whose variable was removed is disabled, never deleted, because its history refers to it.
    """
    names = desired()
    changed = [name for name, row in names.items() if _keep(name, row)]
    for row in Upstream.objects.filter(managed=True, enabled=True).exclude(name__in=names):
        row.enabled = False
        row.save(update_fields=["enabled"])
        changed.append(row.name)
    return changed


def _keep(name: str, wanted: DesiredUpstream) -> bool:
    """Create or update one row; True when something changed."""
    row, created = Upstream.objects.get_or_create(
        name=name,
        defaults={
            "kind": wanted.kind,
            "url": wanted.url,
            "options": {**wanted.options, **wanted.enforced},
            "credentials": wanted.credentials,
            "managed": True,
            "interval_seconds": wanted.interval_seconds or settings.POLL_SECONDS,
        },
    )
    if created:
        return True
    before = (row.kind, row.url, row.managed, row.enabled, row.options, row.credentials)
    # Credentials entered on its page are kept, but must not be sent to a server they were not meant for.
    own = {} if row.moves_to(wanted.url) else row.credentials
    row.kind, row.url, row.managed, row.enabled = wanted.kind, wanted.url, True, True
    row.options = {**_options(row, wanted), **wanted.enforced}
    row.credentials = wanted.credentials or own
    if before == (row.kind, row.url, row.managed, row.enabled, row.options, row.credentials):
        return False
    row.save(update_fields=["kind", "url", "managed", "enabled", "options", "credentials"])
    return True


def _options(row: Upstream, wanted: DesiredUpstream) -> dict[str, Any]:
    """Return the row's options; our watchdog is added and removed with the embedded servers."""
    options = dict(row.options)
    if wanted.options:
        return {**wanted.options, **options}
    if options.get("watchdogs") == WATCHDOG["watchdogs"]:
        del options["watchdogs"]
    return options


def after_migrate(**_kwargs: Any) -> None:
    changed = synchronise()
    if changed:
        log.info("Upstreams set from the environment: %s.", ", ".join(changed))
    if destinations.synchronise(settings.SIEM_URL, settings.SIEM_CA_FILE, settings.SIEM_TOKEN):
        log.info("The SIEM destination is set from the environment.")
    channels = notify_env.synchronise(settings.NOTIFY_URLS)
    if channels:
        log.info("Channels set from the environment: %s.", ", ".join(channels))


def connect() -> None:
    # The signal is sent once per app, when all tables exist; reacting to one of them is enough.
    post_migrate.connect(
        after_migrate, sender=apps.get_app_config("core"), dispatch_uid="portal.managed"
    )
