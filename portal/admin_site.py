"""The admin site: unfold's, locked behind a verified second factor; its index is the dashboard."""

from django.http import HttpRequest
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from portal import dashboard_page
from security.verification import is_verified


class PortalAdminSite(UnfoldAdminSite):
    """Every page needs a staff account whose session has passed the second factor."""

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and is_verified(request)

    def extra_urls(self) -> list[URLPattern]:
        return [path("live/", self.admin_view(dashboard_page.live), name="dashboard_live")]
