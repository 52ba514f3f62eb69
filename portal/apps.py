"""App configurations of the roof: the portal itself, and the admin with our site as default."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PortalAdminConfig(admin_apps.AdminConfig):
    default = False  # inherited True would make two default configurations
    default_site = "portal.admin_site.PortalAdminSite"


class PortalConfig(AppConfig):
    default = True
    name = "portal"

    def ready(self) -> None:
        from portal import celery, managed  # noqa: F401 - makes ours the default Celery app

        managed.connect()
