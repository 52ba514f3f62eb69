"""The URLs of the portal; docs/api.md lists those of the API."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from portal import failures
from portal.health import healthz, readyz
from portal.metrics import metrics

handler400 = failures.bad_request
handler403 = failures.forbidden
handler404 = failures.not_found
handler500 = failures.server_error

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", include("security.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("portal.api")),
]
