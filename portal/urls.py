"""The URLs of the portal; docs/api.md lists those of the API."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", include("security.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("portal.api")),
]
