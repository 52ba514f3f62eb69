"""The URLs of the portal; docs/api.md lists those of the API."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from portal import error_views
from portal.health import healthz, readyz
from portal.metrics import metrics

handler400 = error_views.bad_request
handler403 = error_views.forbidden
handler404 = error_views.not_found
handler500 = error_views.server_error

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", include("security.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("portal.api")),
]
