"""Saves and exports rules, for the admin, the API and the command."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit import services as audit
from audit.services import Target
from monitoring.models import Rule
from monitoring.rules import expressions
from monitoring.rules.rendering import Exported, rule_file
from portal.core.models import Upstream


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The file as text; `etag` changes with it. `left_out` lists rules that no Prometheus has accepted yet."""

    text: str
    count: int
    left_out: tuple[str, ...]

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.text.encode()).hexdigest()[:32]}"'


def save(rule: Rule, *, verdict: expressions.Verdict) -> Rule:
    """Store a rule with Prometheus's verdict on its expression; model tracking audits the diff."""
    rule.accepted_at = timezone.now() if verdict.accepted else None
    rule.save()
    return rule


def ask_again(rules: Iterable[Rule]) -> None:
    """Check the rules for which no Prometheus was available when they were saved."""
    for rule in rules:
        if expressions.examine(rule.expr, rule.upstream).accepted:
            rule.accepted_at = timezone.now()
            Rule.objects.filter(pk=rule.pk, expr=rule.expr).update(accepted_at=rule.accepted_at)


def of_prometheus(upstream: Upstream | None = None) -> list[Rule]:
    """Return the enabled rules that `upstream` evaluates; without an upstream, all enabled ones."""
    rules = Rule.objects.filter(enabled=True).select_related("service", "upstream")
    if upstream is not None:
        rules = rules.filter(Q(upstream=upstream) | Q(upstream=None))
    return list(rules.order_by("group", "position", "name", "id"))


def export(upstream: Upstream | None = None) -> RuleFile:
    """Return the rule file of one Prometheus, or of all; one query."""
    rules = of_prometheus(upstream)
    good = [rule for rule in rules if rule.accepted_at]
    left_out = tuple(
        f"{rule.name}: no Prometheus has accepted its expression yet"
        for rule in rules
        if not rule.accepted_at
    )
    text = rule_file(map(exported, good), left_out=left_out)
    return RuleFile(text=text, count=len(good), left_out=left_out)


def exported(rule: Rule) -> Exported:
    """Return a rule with the fields of a rule file."""
    service = {"service": rule.service.slug} if rule.service else {}
    runbook = rule.runbook_url or (rule.service.runbook_url if rule.service else "")
    own = {"summary": rule.summary, "description": rule.description, "runbook_url": runbook}
    return Exported(
        group=rule.group,
        alert=rule.name,
        expr=rule.expr,
        for_duration=_written(rule.for_duration),
        keep_firing_for=_written(rule.keep_firing_for),
        labels={**rule.labels, "severity": rule.severity, **service},
        annotations={**rule.annotations, **{name: text for name, text in own.items() if text}},
    )


def _written(duration: str) -> str:
    return "" if duration == "0" else duration


def write(path: Path, upstream: Upstream | None, *, actor: Any = None) -> tuple[RuleFile, bool]:
    """Write the rule file to `path` atomically; return it, and whether it differs from the old one.

    A Prometheus that reloads meanwhile reads either the old or the new file, never a part of one.
    """
    file = export(upstream)
    if path.exists() and path.read_text(encoding="utf-8") == file.text:
        return file, False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as temporary:
            temporary.write(file.text)
        Path(name).chmod(0o644)  # Prometheus runs as another user
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    with transaction.atomic():
        audit.record(
            "rule.exported",
            actor=actor,
            target=Target("monitoring.rule", "", str(path)),
            data={"rules": file.count, "left_out": len(file.left_out)},
        )
    return file, True
