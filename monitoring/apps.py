"""App configuration of monitoring."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        from monitoring import connection_test
        from portal.core import probing
        from portal.core.models import UpstreamKind

        probing.register(UpstreamKind.PROMETHEUS, connection_test.ask_prometheus)
        probing.register(UpstreamKind.ALERTMANAGER, connection_test.ask_alertmanager)
        probing.register(UpstreamKind.SENTRY, connection_test.ask_sentry)
        probing.register(UpstreamKind.ELASTICSEARCH, connection_test.ask_elasticsearch)
