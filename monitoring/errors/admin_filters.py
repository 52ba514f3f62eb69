"""The filters of the list of errors; by default it shows the unresolved ones."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from monitoring.errors.models import ErrorIssue, ErrorIssueQuerySet, IssueStatus
from portal.core.listfilters import ChosenFilter
from portal.core.models import Service

MOST = 200


class StatusFilter(ChosenFilter):
    title = "status"
    parameter_name = "status"
    default = "unresolved"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        others = [choice for choice in IssueStatus.choices if choice[0] != IssueStatus.UNRESOLVED]
        return [("new", "New in 24 hours"), ("regressed", "Regressed in 24 hours"), *others,
                ("gone", "Gone from Sentry"), ("all", "All")]  # fmt: skip

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Label the default choice "unresolved" rather than "all"."""
        for number, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Unresolved"} if number == 0 else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[ErrorIssue]) -> Any:
        assert isinstance(queryset, ErrorIssueQuerySet)
        value, now = self.value(), timezone.now()
        if value == "gone":
            return queryset.filter(gone_at__isnull=False)
        if value in (IssueStatus.RESOLVED, IssueStatus.IGNORED):
            return queryset.filter(status=value, gone_at__isnull=True)
        if value == "new":
            return queryset.new(at=now)
        if value == "regressed":
            return queryset.regressed(at=now)
        return queryset if value == "all" else queryset.unresolved()


class ProjectFilter(SimpleListFilter):
    title = "project"
    parameter_name = "project"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        names = ErrorIssue.objects.order_by("project").values_list("project", flat=True)
        return [(name, name) for name in names.distinct()[:MOST]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ErrorIssue]) -> Any:
        return queryset.filter(project=self.value()) if self.value() else queryset


class LevelFilter(SimpleListFilter):
    title = "level"
    parameter_name = "level"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [
            (name, name.capitalize()) for name in ("fatal", "error", "warning", "info", "debug")
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ErrorIssue]) -> Any:
        return queryset.filter(level=self.value()) if self.value() else queryset


class ServiceFilter(SimpleListFilter):
    title = "service"
    parameter_name = "service"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        services = Service.objects.in_order().values_list("slug", "name")[:MOST]
        return [*services, ("-", "No service")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ErrorIssue]) -> Any:
        if self.value() == "-":
            return queryset.filter(service__isnull=True)
        return queryset.filter(service__slug=self.value()) if self.value() else queryset
