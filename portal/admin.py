"""Admins of the floor's models live on the roof: the floor imports no app. Django finds this module."""

from portal.admin_exports import ExportRecordAdmin
from portal.admin_services import ServiceAdmin
from portal.admin_upstreams import UpstreamAdmin

__all__ = ["ExportRecordAdmin", "ServiceAdmin", "UpstreamAdmin"]
