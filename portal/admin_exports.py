"""Admin for exports of the audit trail: requested above the list, with a page to follow or cancel each."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin
from unfold.decorators import display

from audit import exports, filters
from audit.export_models import ExportRecord, ExportState
from portal.core.lookups import row_or_404
from portal.core.object_actions import ObjectActionsMixin, post_only
from portal.core.paginator import CappedPaginator
from portal.exports_api import download
from security import stepup

COLOURS = {"Completed": "success", "Failed": "danger", "Running": "info", "Cancelled": "warning"}


def _words(export: ExportRecord) -> str:
    return " ".join(f"{name}={value}" for name, value in export.query.items()) or "the whole trail"


def _export(request: HttpRequest, pk: Any, permission: str = "view") -> ExportRecord:
    if not request.user.has_perm(f"audit.{permission}_exportrecord"):
        raise PermissionDenied
    return row_or_404(ExportRecord.objects.all(), pk)


def create(request: HttpRequest) -> HttpResponse:
    """Create an export of the entries the list shows, and redirect to its page."""
    trail = reverse("admin:audit_auditentry_changelist")
    if not request.user.has_perm("audit.add_exportrecord"):
        raise PermissionDenied
    if not stepup.is_recent(request):
        return stepup.challenge(request, back=trail)
    try:
        export = exports.create(filters.given(request.POST), actor=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return HttpResponseRedirect(trail)
    return HttpResponseRedirect(export.get_absolute_url())


def send(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Stream the file, once."""
    export = _export(request, pk, "add")
    if not stepup.is_recent(request):
        return stepup.challenge(request, back=export.get_absolute_url())
    try:
        return download(export, actor=request.user)
    except (exports.BusyError, exports.SpentError) as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(export.get_absolute_url())


def progress(request: HttpRequest, pk: int) -> JsonResponse:
    """Return the export's progress, for its page."""
    export = _export(request, pk)
    return JsonResponse(
        {
            "state": export.state,
            "label": ExportState(export.state).label,
            "rows": export.rows,
            "estimated_rows": export.estimated_rows,
            "bytes": export.bytes,
            "size": filesizeformat(export.bytes),
            "sha256": export.sha256,
            "error": export.error,
        }
    )


def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel an export that is waiting or running."""
    export = _export(request, pk, "add")
    done = exports.cancel(export, actor=request.user)
    messages.info(request, "The export is cancelled." if done else "The export had already ended.")
    return HttpResponseRedirect(export.get_absolute_url())


class ExportColumns:
    """What the list shows of an export."""

    @display(description="State", label=COLOURS)
    def shown_state(self, export: ExportRecord) -> str:
        return ExportState(export.state).label

    @display(description="Filter")
    def shown_query(self, export: ExportRecord) -> str:
        return _words(export)

    @display(description="Size")
    def shown_size(self, export: ExportRecord) -> str:
        return filesizeformat(export.bytes)


@admin.register(ExportRecord)
class ExportRecordAdmin(ExportColumns, ObjectActionsMixin, ModelAdmin):
    object_actions = {"download": send, "cancel": cancel}
    change_form_template = "portal/export.html"
    paginator = CappedPaginator
    show_full_result_count = False
    list_display = (
        "__str__",
        "created_at",
        "requested_by",
        "shown_state",
        "shown_query",
        "rows",
        "shown_size",
    )
    list_filter = ("state",)
    ordering = ("-id",)
    actions = None

    def get_urls(self) -> list[URLPattern]:
        name, wrap = "audit_exportrecord", self.admin_site.admin_view
        own = [
            path("create/", wrap(post_only(create)), name=f"{name}_create"),
            path("<int:pk>/progress/", wrap(progress), name=f"{name}_progress"),
        ]
        return [*own, *super().get_urls()]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        export = _export(request, object_id)
        context = {"title": str(export), "export": export, "words": _words(export),
                   "may_take": request.user.has_perm("audit.add_exportrecord")}  # fmt: skip
        page: HttpResponse = super().changeform_view(request, object_id, extra_context=context)
        return page

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # created above the list of the trail

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
