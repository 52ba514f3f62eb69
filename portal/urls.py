"""The URLs of the portal; docs/api.md lists them."""

from django.contrib import admin
from django.urls import path

from portal.health import healthz, readyz
from portal.metrics import metrics

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
