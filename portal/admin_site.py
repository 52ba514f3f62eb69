"""Defines the admin site: unfold's, behind a verified second factor; its index is the dashboard."""

from functools import partial, wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from portal import (
    alert_analytics_page,
    dashboard_page,
    doctor_page,
    logs_page,
    snippets_page,
    timeline_page,
    traffic_page,
)
from security import views
from security.verification import is_verified

# Django drops an invalid filter without a message.
LEFT_OUT = "A filter in this URL is invalid, so the list is shown without filters. Choose one under Filters."


class PortalAdminSite(UnfoldAdminSite):
    """Every page needs a staff account whose session has passed the second factor."""

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and is_verified(request)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Reject a URL with a NUL: PostgreSQL does not accept it in a value, so a filter would fail."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def readable(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if "%00" in request.META.get("QUERY_STRING", ""):
                raise BadRequest("NUL in the query")
            if request.method == "GET" and request.GET.get(ERROR_FLAG):
                messages.warning(request, LEFT_OUT)
            return inner(request, *args, **kwargs)

        return readable

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return views.login(request)

    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return views.logout(request)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        show_or_save = partial(super().password_change, extra_context=extra_context)
        return views.change_password(request, show_or_save)

    def extra_urls(self) -> list[URLPattern]:
        return [
            path("live/", self.admin_view(dashboard_page.live), name="dashboard_live"),
            path(
                "services/<slug:slug>/snippets/",
                self.admin_view(snippets_page.snippets),
                name="snippets",
            ),
            path("timeline/", self.admin_view(timeline_page.timeline), name="timeline"),
            path("logs/", self.admin_view(logs_page.logs), name="logs"),
            path("doctor/", self.admin_view(doctor_page.doctor), name="doctor"),
            path(
                "alert-analytics/",
                self.admin_view(alert_analytics_page.alert_analytics),
                name="alert_analytics",
            ),
            path("analytics/", self.admin_view(traffic_page.routes), name="traffic"),
            path("analytics/consumers/", self.admin_view(traffic_page.consumers), name="consumers"),
        ]
