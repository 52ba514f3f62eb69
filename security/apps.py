"""App configuration of security."""

from django.apps import AppConfig


class SecurityConfig(AppConfig):
    name = "security"
    verbose_name = "Security"

    def ready(self) -> None:
        from audit import readers
        from portal.core import probing
        from portal.core.models import UpstreamKind
        from security import crowdsec, roles, rule_settings, trail_readers

        # After this app's own migrations, when the permissions of all earlier apps exist.
        roles.connect(self)
        rule_settings.connect()
        probing.register(UpstreamKind.CROWDSEC, crowdsec.ask)
        readers.register("security", trail_readers.find)
