"""The filters of the alert desk; by default it shows open alerts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from alerts.models import Alert, Silence, State
from alerts.silence_models import SilenceQuerySet
from portal.core.listfilters import ChosenFilter
from portal.core.models import Service

SEVERITIES = ("critical", "warning", "info", "none")


class StateFilter(ChosenFilter):
    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [*State.choices, ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Label the default choice "open" rather than "all"."""
        for number, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Open"} if number == 0 else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        if self.value() in State.values:
            return queryset.filter(state=self.value())
        return queryset if self.value() == "all" else queryset.exclude(state=State.RESOLVED)


class SeverityFilter(SimpleListFilter):
    title = "severity"
    parameter_name = "severity"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [*((name, name.capitalize()) for name in SEVERITIES), ("other", "Other")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        value = self.value()
        if value == "other":
            return queryset.exclude(severity__in=SEVERITIES)
        return queryset.filter(severity=value) if value else queryset


class ServiceFilter(SimpleListFilter):
    title = "service"
    parameter_name = "service"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        services = Service.objects.in_order().values_list("slug", "name")[:200]
        return [*services, ("-", "No service")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        value = self.value()
        if value == "-":
            return queryset.filter(service__isnull=True)
        return queryset.filter(service__slug=value) if value else queryset


class TimeFilter(ChosenFilter):
    title = "time"
    parameter_name = "time"
    windows = {
        "1h": ("Last hour", 1),
        "24h": ("Last 24 hours", 24),
        "7d": ("Last 7 days", 168),
        "30d": ("Last 30 days", 720),
    }

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _hours) in self.windows.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        if self.value() not in self.windows:
            return queryset
        since = timezone.now() - timedelta(hours=self.windows[str(self.value())][1])
        return queryset.filter(Q(ends_at__isnull=True) | Q(ends_at__gte=since))


class WhenFilter(ChosenFilter):
    """Rows of the delivery log by their age."""

    title = "time"
    parameter_name = "time"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _hours) in TimeFilter.windows.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in TimeFilter.windows:
            return queryset
        hours = TimeFilter.windows[str(self.value())][1]
        return queryset.filter(created_at__gte=timezone.now() - timedelta(hours=hours))


class AttentionFilter(ChosenFilter):
    title = "attention"
    parameter_name = "attention"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [
            ("mine", "Assigned to me"),
            ("nobody", "Not acknowledged"),
            ("acknowledged", "Acknowledged"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        if self.value() == "mine":
            return queryset.filter(assigned_to=request.user.pk)
        if self.value() in ("nobody", "acknowledged"):
            return queryset.filter(acknowledged_at__isnull=self.value() == "nobody")
        return queryset


class SilenceStateFilter(ChosenFilter):
    title = "state"
    parameter_name = "state"
    default = "active"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [("expired", "Expired"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for number, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Active and pending"} if number == 0 else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Silence]) -> QuerySet[Silence]:
        now = timezone.now()
        if self.value() == "all":
            return queryset
        assert isinstance(queryset, SilenceQuerySet)
        is_over = self.value() == "expired"
        return queryset.expired(at=now) if is_over else queryset.not_expired(at=now)
