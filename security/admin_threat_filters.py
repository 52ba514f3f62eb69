"""The filters of flags and blocks; by default they show those that are open or active."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from portal.core.listfilters import ChosenFilter
from portal.core.models import Service
from security.models import Block, Flag, FlagStatus
from security.models.blocks import BlockQuerySet
from security.models.flags import FlagQuerySet
from security.rules.engine import RULES
from security.rules.finding import SEVERITIES, scores_of


class FlagStatusFilter(ChosenFilter):
    title = "status"
    parameter_name = "status"
    default = "open"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [*FlagStatus.choices[1:], ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for number, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Open"} if number == 0 else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Flag]) -> QuerySet[Flag]:
        if self.value() == "all":
            return queryset
        wanted = self.value() if self.value() in FlagStatus.values else FlagStatus.OPEN
        return queryset.filter(status=wanted)


class SeverityFilter(ChosenFilter):
    title = "severity"
    parameter_name = "severity"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in SEVERITIES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Flag]) -> QuerySet[Flag]:
        if self.value() not in SEVERITIES:
            return queryset
        scores = scores_of(str(self.value()))
        return queryset.filter(score__gte=scores.start, score__lt=scores.stop)


class RuleFilter(SimpleListFilter):
    title = "rule"
    parameter_name = "rule"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [(rule.id, rule.title) for rule in RULES.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Flag]) -> QuerySet[Flag]:
        return queryset.filter(rule=self.value()) if self.value() else queryset


class FlagServiceFilter(SimpleListFilter):
    title = "service"
    parameter_name = "service"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        chosen = request.GET.get("service", "").replace("\0", "")[:100]
        services = dict(Service.objects.in_order().values_list("slug", "name")[:200])
        return [*services.items(), *([(chosen, chosen)] if chosen not in {"", *services} else [])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Flag]) -> QuerySet[Flag]:
        assert isinstance(queryset, FlagQuerySet)
        return queryset.of_service(str(self.value())) if self.value() else queryset


class BlockStateFilter(ChosenFilter):
    title = "state"
    parameter_name = "state"
    default = "active"

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [("ended", "Ended"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for number, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Active"} if number == 0 else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Block]) -> QuerySet[Block]:
        if self.value() == "all":
            return queryset
        assert isinstance(queryset, BlockQuerySet)
        now = timezone.now()
        return queryset.over(at=now) if self.value() == "ended" else queryset.active(at=now)
