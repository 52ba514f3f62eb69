"""Admin for errors: a list with filters and actions, which call the services."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from monitoring.errors import pages, services
from monitoring.errors.admin_filters import LevelFilter, ProjectFilter, ServiceFilter, StatusFilter
from monitoring.errors.models import ErrorIssue
from monitoring.errors.summary import blind_sentence
from portal.core.object_actions import ObjectActionsMixin
from portal.core.paginator import CappedPaginator

STATUS_COLOURS = {
    "New": "danger",
    "Regressed": "danger",
    "Unresolved": "warning",
    "Resolved": "success",
    "Gone": "info",
}
LEVEL_COLOURS = {"fatal": "danger", "error": "danger", "warning": "warning", "info": "info"}
# Each one is a request to Sentry, and the browser waits for all of them.
MOST_AT_ONCE = 50


class ErrorColumns:
    """What the list shows of each error."""

    @display(description="Error")
    def headline(self, issue: ErrorIssue) -> str:
        return format_html(
            "{}<br><small>{} · {}</small>", issue.title[:120], issue, issue.culprit[:100] or issue.project
        )  # fmt: skip

    @display(description="Status", label=STATUS_COLOURS)
    def shown_status(self, issue: ErrorIssue) -> str:
        return pages.status_word(issue, at=timezone.now())

    @display(description="Level", label=LEVEL_COLOURS)
    def shown_level(self, issue: ErrorIssue) -> str:
        return issue.level or "none"

    @display(description="Events")
    def events(self, issue: ErrorIssue) -> str:
        return f"{issue.count:,}"

    @display(description="Users")
    def users(self, issue: ErrorIssue) -> str:
        return f"{issue.user_count:,}"

    @display(description="Last seen", ordering="last_seen_at")
    def seen(self, issue: ErrorIssue) -> str:
        return pages.ago(issue.last_seen_at)


@admin.action(description="Resolve in Sentry", permissions=["change"])
def resolve(_admin: Any, request: HttpRequest, queryset: QuerySet[ErrorIssue]) -> None:
    _act(request, queryset, services.resolve, "resolved")


@admin.action(description="Ignore in Sentry", permissions=["change"])
def ignore(_admin: Any, request: HttpRequest, queryset: QuerySet[ErrorIssue]) -> None:
    _act(request, queryset, services.ignore, "ignored")


@admin.action(description="Reopen in Sentry", permissions=["change"])
def reopen(_admin: Any, request: HttpRequest, queryset: QuerySet[ErrorIssue]) -> None:
    _act(request, queryset, services.reopen, "reopened")


def _act(
    request: HttpRequest, queryset: QuerySet[ErrorIssue], verb: Callable[..., Any], word: str
) -> None:
    pages.act_on_many(request, list(queryset[: MOST_AT_ONCE + 1]), verb, word, MOST_AT_ONCE)


@admin.register(ErrorIssue)
class ErrorIssueAdmin(ErrorColumns, ObjectActionsMixin, ModelAdmin):
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_display = ("headline", "shown_status", "shown_level", "events", "users", "seen", "service")
    list_filter = (StatusFilter, ProjectFilter, LevelFilter, ServiceFilter, "upstream")
    list_select_related = ("service", "upstream")
    search_fields = ("title", "culprit", "short_id")
    search_help_text = "Title, location or short id"
    ordering = ("-last_seen_at", "-id")
    actions = (resolve, ignore, reopen)
    list_before_template = "monitoring/errors_sight.html"
    object_actions = {verb: partial(pages.act, verb=verb) for verb in pages.VERBS}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        event = path("<int:issue_id>/event/", wrap(pages.event), name="monitoring_errorissue_event")
        return [event, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {**(extra_context or {}), "blind": blind_sentence()}
        page: HttpResponse = super().changelist_view(request, extra)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, *_args: Any, **_kwargs: Any
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.model._meta}
        return pages.issue_page(request, object_id, context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
