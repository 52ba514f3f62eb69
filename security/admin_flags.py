"""Admin for flags and rules. The actions on them are in security/flags.py and rule_settings.py."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin
from unfold.decorators import display

from portal.core.object_actions import post_only
from portal.core.paginator import CappedPaginator
from security import flag_pages, flags, rule_settings, stepup
from security.admin_threat_filters import (
    FlagServiceFilter,
    FlagStatusFilter,
    RuleFilter,
    SeverityFilter,
)
from security.models import Flag, RuleSetting
from security.models.flags import FlagQuerySet
from security.rules.engine import RULES

SEVERITY_COLOURS = {"critical": "danger", "high": "danger", "medium": "warning", "low": "info"}
STATUS_COLOURS = {"Open": "warning", "Confirmed": "danger", "Dismissed": "success"}


class NoAddNoDelete(ModelAdmin):
    """Rows that are created by the rules or after a migration, and never deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FlagColumns:
    """What the list shows of a flag."""

    @display(description="Flag")
    def headline(self, flag: Flag) -> str:
        return format_html("{}<br><small>{}</small>", flag.title, flag.sentence[:160])

    @display(description="Severity", label=SEVERITY_COLOURS)
    def shown_severity(self, flag: Flag) -> str:
        return flag.severity

    @display(description="Subject")
    def on(self, flag: Flag) -> str:
        return format_html(
            "<div>{}<br><small>{}</small></div>",
            flag.shown_subject,
            flag.get_subject_kind_display(),
        )

    @display(description="Services")
    def concerns(self, flag: Flag) -> str:
        return ", ".join(flag.service_slugs) or "—"  # type: ignore[attr-defined] # an annotation

    @display(description="Status", label=STATUS_COLOURS)
    def shown_status(self, flag: Flag) -> str:
        return flag.get_status_display()

    @display(description="Last seen", ordering="last_at")
    def seen(self, flag: Flag) -> str:
        stamp = f"{flag.last_at:%Y-%m-%d %H:%M:%S} UTC"
        return format_html(
            '<span title="{}">{} ago</span>',
            stamp,
            timesince(flag.last_at, timezone.now(), depth=1),
        )


@admin.register(Flag)
class FlagAdmin(FlagColumns, NoAddNoDelete):
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_display = (
        "headline",
        "shown_severity",
        "score",
        "on",
        "concerns",
        "shown_status",
        "seen",
        "assigned_to",
    )
    list_filter = (FlagStatusFilter, SeverityFilter, RuleFilter, FlagServiceFilter)
    list_select_related = ("assigned_to",)
    search_fields = ("=subject", "=subject_name")
    search_help_text = "Exact address, account or token name"
    ordering = ("-last_at",)
    actions = ("assign_to_me", "confirm")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Flag]:
        shown: FlagQuerySet = super().get_queryset(request)
        return shown.with_services()

    @admin.action(description="Assign to me", permissions=["change"])
    def assign_to_me(self, request: HttpRequest, queryset: QuerySet[Flag]) -> None:
        result = flags.assign(list(queryset), to=request.user, actor=request.user)  # type: ignore[arg-type]
        self.message_user(request, result.sentence("assigned to you"))

    @admin.action(description="Confirm as a real threat", permissions=["change"])
    def confirm(self, request: HttpRequest, queryset: QuerySet[Flag]) -> None:
        result = flags.confirm(list(queryset), actor=request.user)
        self.message_user(request, result.sentence("confirmed"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(post_only(flag_pages.act, back="../../"))
        act = path("<int:flag_id>/<slug:verb>/do/", view, name="security_flag_act")
        return [act, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, *_args: Any, **_kwargs: Any
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.model._meta}
        return flag_pages.flag_page(request, object_id, context)


class RuleColumns:
    """What the list shows of a rule, including how its flags were decided."""

    _records: dict[str, rule_settings.Record]

    def _record(self, setting: RuleSetting) -> rule_settings.Record:
        return self._records.get(setting.rule, rule_settings.Record())

    @display(description="Rule", ordering="rule")
    def headline(self, setting: RuleSetting) -> str:
        return format_html("{}<br><small>{}</small>", setting.spec.title, setting.spec.reference)

    @display(description="Automatic block")
    def blocks_by_itself(self, setting: RuleSetting) -> str:
        return f"for {setting.block_minutes} min" if setting.block_minutes else "no"

    @display(description="Flags")
    def found(self, setting: RuleSetting) -> str:
        record = self._record(setting)
        return f"{record.open} open, {record.confirmed} confirmed, {record.dismissed} dismissed"

    @display(description="Precision")
    def precision(self, setting: RuleSetting) -> str:
        share = self._record(setting).precision
        return "—" if share is None else f"{share:.0%}"


@admin.register(RuleSetting)
class RuleSettingAdmin(RuleColumns, NoAddNoDelete):
    """Changing a rule needs a fresh code; viewing it does not."""

    list_display = ("headline", "enabled", "blocks_by_itself", "found", "precision")
    list_filter = ("enabled",)
    ordering = ("rule",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RuleSetting]:
        shown: QuerySet[RuleSetting] = super().get_queryset(request)
        return shown.filter(rule__in=RULES)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self._records = rule_settings.records()
        answer: HttpResponseBase = super().changelist_view(request, *args, **kwargs)
        return answer

    def render_rule(self, request: HttpRequest, setting: RuleSetting) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.model._meta}
        may_change = self.has_change_permission(request, setting)
        return flag_pages.rule_page(request, setting, context, may_change=may_change)

    def change_view(
        self, request: HttpRequest, object_id: str, *_args: Any, **_kwargs: Any
    ) -> HttpResponseBase:
        setting = self.get_object(request, object_id)
        if setting is None or not self.has_view_permission(request, setting):
            raise PermissionDenied
        if "save" in request.POST and not stepup.is_recent(request):
            return stepup.challenge(request)
        return self.render_rule(request, setting)
