"""The portal's URLs with the routes of security, whether or not the API mounts others."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter

from portal.urls import urlpatterns as portal_urlpatterns
from security.api import ROUTES

router = DefaultRouter()
for prefix, view_set, basename in ROUTES:
    router.register(prefix, view_set, basename)
urlpatterns = [path("api/v1/", include(router.urls)), *portal_urlpatterns]
