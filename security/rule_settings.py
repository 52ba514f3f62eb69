"""Reads and writes the settings of rules: one row each, created after a migration; no row means the defaults."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Count, Q
from django.db.models.signals import post_migrate

from audit import services as audit
from security.models import Flag, FlagStatus, RuleSetting
from security.rules.engine import RULES

Settings = dict[str, dict[str, float]]


def ensure(**_kwargs: Any) -> None:
    """Create the missing rows, and keep what staff have changed."""
    rows = [RuleSetting(rule=rule_id) for rule_id in RULES]
    RuleSetting.objects.bulk_create(rows, ignore_conflicts=True)


def connect() -> None:
    post_migrate.connect(
        ensure, sender=apps.get_app_config("security"), dispatch_uid="security.rule_settings"
    )


def every() -> Settings:
    """Return the thresholds of each rule, enabled or not."""
    set_here = {row.rule: row.thresholds for row in RuleSetting.objects.all()}
    return {
        rule_id: {**rule.defaults, **set_here.get(rule_id, {})} for rule_id, rule in RULES.items()
    }


def enabled() -> Settings:
    """Return the thresholds of each enabled rule."""
    off = set(RuleSetting.objects.filter(enabled=False).values_list("rule", flat=True))
    return {rule_id: thresholds for rule_id, thresholds in every().items() if rule_id not in off}


@transaction.atomic
def change(setting: RuleSetting, *, actor: Any, **wanted: Any) -> bool:
    """Set the fields in `wanted`, and keep the current values of the others; False when nothing changes.

    Raises ValidationError for a threshold out of bounds.
    """
    row = RuleSetting.objects.select_for_update().get(pk=setting.pk)
    diff = {
        name: [getattr(row, name), value]
        for name, value in wanted.items()
        if getattr(row, name) != value
    }
    for name, value in wanted.items():
        setattr(row, name, value)
    row.full_clean(exclude=["rule"])
    if diff:
        row.save(update_fields=list(diff))
        audit.record("config.changed", actor=actor, target=row, changes=diff)
    return bool(diff)


@dataclass(frozen=True, slots=True)
class Record:
    """How often a rule was right, according to the decisions of people."""

    open: int = 0
    confirmed: int = 0
    dismissed: int = 0

    @property
    def precision(self) -> float | None:
        """Return the share of decided flags that were confirmed; None if none is decided."""
        decided = self.confirmed + self.dismissed
        return self.confirmed / decided if decided else None


def records() -> dict[str, Record]:
    """Return the record of each rule that has flags, in one query."""
    counts = Flag.objects.order_by().values("rule").annotate(
        open=Count("id", filter=Q(status=FlagStatus.OPEN)),
        confirmed=Count("id", filter=Q(status=FlagStatus.CONFIRMED)),
        dismissed=Count("id", filter=Q(status=FlagStatus.DISMISSED)),
    )  # fmt: skip
    return {row["rule"]: Record(row["open"], row["confirmed"], row["dismissed"]) for row in counts}
