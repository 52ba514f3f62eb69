"""System checks `portal.E…` and `portal.W…`: report a wrong setting as a sentence with a hint, not a traceback."""

from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register()
def environment_values(**_kwargs: Any) -> list[CheckMessage]:
    """portal.E001: a variable of the environment has an invalid value."""
    return [
        Error(f"{p.variable}: {p.message}", hint=p.hint, id="portal.E001")
        for p in settings.CONFIG_PROBLEMS
    ]


@register()
def database_is_postgresql(**_kwargs: Any) -> list[CheckMessage]:
    """portal.E002: no database is configured."""
    if settings.DATABASES["default"].get("NAME"):
        return []
    hint = (
        "Set DATABASE_URL to postgresql://user:password@host:5432/name,"
        " or use `make run`, which starts a database."
    )
    return [Error("No database is configured.", hint=hint, id="portal.E002")]


@register()
def sentry_is_complete(**_kwargs: Any) -> list[CheckMessage]:
    """portal.E003: Sentry's address, organisation and token belong together."""
    values = {
        name: bool(getattr(settings, name))
        for name in ("SENTRY_API_URL", "SENTRY_ORG", "SENTRY_API_TOKEN")
    }
    missing = [name for name, given in values.items() if not given]
    if not missing or len(missing) == len(values):
        return []
    hint = (
        "SENTRY_API_URL is the address without a path (https://sentry.io), SENTRY_ORG the slug of the"
        " organisation, SENTRY_API_TOKEN a token with org:read, project:read, event:read and event:write."
    )
    return [Error(f"Not set: {', '.join(missing)}.", hint=hint, id="portal.E003")]


@register()
def tracing_is_installed(**_kwargs: Any) -> list[CheckMessage]:
    """portal.W002: an endpoint for traces without the packages that send them."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT or find_spec("opentelemetry"):
        return []
    said = (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: nothing is traced."
    )
    hint = "Install it with `pip install -r requirements-tracing.txt`, or unset the variable."
    return [Warning(said, hint=hint, id="portal.W002")]


@register(deploy=True)
def public_url_is_https(**_kwargs: Any) -> list[CheckMessage]:
    """portal.W001: passwords and codes would cross the network unencrypted."""
    if settings.HTTPS:
        return []
    hint = "Set PORTAL_URL to the https:// address at which users open the portal."
    return [Warning("PORTAL_URL is not https.", hint=hint, id="portal.W001")]


@register()
def crowdsec_has_credentials(**_kwargs: Any) -> list[CheckMessage]:
    """portal.W003: CrowdSec is named, but there is nothing to sign in with."""
    reads, tells = settings.CROWDSEC_BOUNCER_KEY, settings.CROWDSEC_MACHINE
    if settings.CROWDSEC_URL and not reads and not tells:
        hint = "Set CROWDSEC_BOUNCER_KEY to read decisions, CROWDSEC_MACHINE and CROWDSEC_PASSWORD to publish blocks."
        return [Warning("CROWDSEC_URL is set without credentials.", hint=hint, id="portal.W003")]
    if bool(tells) != bool(settings.CROWDSEC_PASSWORD):
        hint = "Set both, to the values that `cscli machines add` created."
        return [
            Warning(
                "One of CROWDSEC_MACHINE and CROWDSEC_PASSWORD is missing.",
                hint=hint,
                id="portal.W003",
            )
        ]
    return []
