"""App configuration of portal.core."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "portal.core"
    label = "core"
    verbose_name = "Upstreams and services"

    def ready(self) -> None:
        from portal.core import checks  # noqa: F401 - registers the system checks
