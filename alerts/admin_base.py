"""Base class for the admin lists of rows that only the portal writes."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin

from portal.core.paginator import CappedPaginator


class ReadOnlyAdmin(ModelAdmin):
    """Rows that the portal writes: people view them, and change them only through actions."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
