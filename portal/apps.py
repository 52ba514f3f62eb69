"""App configurations of the portal itself, and of the admin with our site as default."""

from importlib.util import find_spec

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PortalAdminConfig(admin_apps.AdminConfig):
    default = False  # inheriting True would give two default configurations
    default_site = "portal.admin_site.PortalAdminSite"

    def ready(self) -> None:
        from portal.core import formfields

        formfields.install_error_messages()  # before any form is created
        super().ready()


class PortalConfig(AppConfig):
    default = True
    name = "portal"

    def ready(self) -> None:
        from django.conf import settings

        from portal import celery, managed_upstreams  # noqa: F401 - makes ours the default Celery app

        managed_upstreams.connect()
        # Without an endpoint, no module of OpenTelemetry is loaded.
        if settings.OTEL_EXPORTER_OTLP_ENDPOINT and not telemetry_missing():
            from portal import tracing

            tracing.start(
                settings.OTEL_EXPORTER_OTLP_ENDPOINT,
                release=settings.VERSION,
                environment=settings.ENVIRONMENT,
            )


def telemetry_missing() -> bool:
    """True when the packages of requirements-tracing.txt are not installed."""
    return find_spec("opentelemetry") is None
