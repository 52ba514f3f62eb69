"""The form of a rule: asks a Prometheus about the expression before it is stored."""

from typing import Any, ClassVar

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from monitoring.models import Rule
from monitoring.rules.expressions import Verdict, examine

_CODE = {"spellcheck": "false"}


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    verdict = Verdict()

    class Meta:
        model = Rule
        fields = (
            "group", "name", "expr", "for_duration", "keep_firing_for", "severity", "service", "labels", "summary",
            "description", "runbook_url", "annotations", "upstream", "position", "enabled",
        )  # fmt: skip
        widgets: ClassVar = {
            "expr": UnfoldAdminTextareaWidget(attrs={"rows": 4, **_CODE}),
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            "labels": UnfoldAdminTextareaWidget(attrs={"rows": 2, **_CODE}),
            "annotations": UnfoldAdminTextareaWidget(attrs={"rows": 2, **_CODE}),
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if expr := cleaned.get("expr"):
            self.verdict = examine(expr, cleaned.get("upstream"))
            if self.verdict.objection:
                self.add_error("expr", self.verdict.objection)
        return cleaned


class PreviewForm(RuleForm):
    """The same fields without a question: the preview asks for itself, and stores nothing."""

    def clean(self) -> dict[str, Any]:
        return self.cleaned_data

    def validate_constraints(self) -> None:
        """Leave the name alone: the rule on the page may be stored already."""
