"""The admin site: unfold's, locked behind a verified second factor."""

from django.http import HttpRequest
from unfold.sites import UnfoldAdminSite

from security.verification import is_verified


class PortalAdminSite(UnfoldAdminSite):
    """Every page needs a staff account whose session has passed the second factor."""

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and is_verified(request)
