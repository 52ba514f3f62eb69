"""The form of a rule, which lets a Prometheus check the expression before it is stored."""

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
    """The same fields without that check: the preview runs its own query, and stores nothing.

    Leaving out the group also skips the check for a duplicate name, which may be that of the rule itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["group"]

    def clean(self) -> dict[str, Any]:
        return self.cleaned_data
