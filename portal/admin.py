"""Loads the admins of portal.core's models, which must not import other apps itself. Django finds this module."""

from portal.admin_exports import ExportRecordAdmin
from portal.admin_services import ServiceAdmin
from portal.admin_upstreams import UpstreamAdmin

__all__ = ["ExportRecordAdmin", "ServiceAdmin", "UpstreamAdmin"]
