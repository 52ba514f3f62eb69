"""The forms of channels and routes."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from alerts import channels
from alerts.notification_models import Channel, Route
from portal.core.formfields import MatchersField

NAME_LIMIT = 200


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """The URL is write-only: an empty field keeps the stored one."""

    new_url = forms.CharField(
        label="Apprise URL", required=False, max_length=2000,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="For example slack://token/token/token/#channel, discord://id/token, opsgenie://key or"
        " mailto://user:password@example.org?to=team@example.org.",
    )  # fmt: skip

    class Meta:
        model = Channel
        fields: ClassVar = (
            "name", "enabled", "send_resolved", "budget_messages", "budget_seconds", "timeout_seconds"
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "new_url" in self.fields and self.instance.shown_url:
            self.fields["new_url"].widget.attrs["placeholder"] = self.instance.shown_url

    def clean_new_url(self) -> str:
        url = str(self.cleaned_data["new_url"]).strip()
        if url:
            try:
                channels.check_url(url)
            except ValidationError as error:
                raise ValidationError(error.messages) from error
        elif not self.instance.url:
            raise ValidationError("Enter an Apprise URL.")
        return url


class LinesField(forms.CharField):
    """Label names, separated by blanks or commas. Its value is a list."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return list(dict.fromkeys(str(value or "").replace(",", " ").split()))

    def clean(self, value: Any) -> Any:
        names = self.to_python(value)
        for name in names:
            if len(name) > NAME_LIMIT or "\0" in name:
                raise ValidationError(
                    f"{name[:50]!r} is not a label name. Use at most {NAME_LIMIT} characters each."
                )
        return names

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(list(initial or []) != self.to_python(data))


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]
    matchers = MatchersField(
        help_text='One per line, for example severity=~"critical|page". Leave empty to match all alerts.'
    )
    quiet_unless = MatchersField(
        help_text="Alerts that match all of these are sent in quiet hours too."
    )
    group_by = LinesField(
        required=False, widget=UnfoldAdminTextInputWidget(),
        help_text='Label names, for example alertname, service. "..." gives each alert a message of its own.',
    )  # fmt: skip

    class Meta:
        model = Route
        fields: ClassVar = (
            "name", "position", "enabled", "matchers", "goes_on", "channels", "group_by", "group_wait_seconds",
            "group_interval_seconds", "repeat_interval_seconds", "send_resolved", "quiet_from", "quiet_until",
            "quiet_zone", "quiet_unless",
        )  # fmt: skip
