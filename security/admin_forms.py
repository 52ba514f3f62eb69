"""The form for a new token: only scopes that its creator has, networks as text, one year at most."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from security import tokens
from security.models import ApiToken, Scope
from security.scopes import grantable_scopes


class ApiTokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """The admin sets `maker` on a subclass for each request."""

    maker: Any = None

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("username"),
        required=False,
        label="Account",
        help_text="The account the token acts for. Empty: yourself.",
        widget=UnfoldAdminSelectWidget,
    )
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    allowed_networks = forms.CharField(
        required=False,
        max_length=1000,
        help_text="CIDR, comma-separated, for example 10.0.0.0/8. Empty: any address.",
        widget=UnfoldAdminTextInputWidget,
    )
    lifetime = forms.CharField(
        initial="90d",
        max_length=10,
        help_text="For example 90d for days or 12h for hours; a year at most.",
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = ApiToken
        fields = ("name", "user", "service", "scopes", "allowed_networks")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.maker is None or "scopes" not in self.fields:
            return
        allowed = grantable_scopes(self.maker)
        scopes: Any = self.fields["scopes"]
        scopes.choices = [choice for choice in Scope.choices if choice[0] in allowed]
        if not self.maker.is_superuser:
            self.fields.pop("user", None)

    def clean_allowed_networks(self) -> list[str]:
        written = str(self.cleaned_data["allowed_networks"])
        return tokens.parse_networks(word for word in written.split(",") if word.strip())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if lifetime := cleaned.get("lifetime"):
            try:
                cleaned["expires_at"] = tokens.parse_expiry(lifetime, at=timezone.now())
                tokens.check_expiry(cleaned["expires_at"])
            except ValidationError as error:
                self.add_error("lifetime", error)
        return cleaned

    def mint(self) -> tuple[ApiToken, str]:
        """Create the token that a valid form describes, and return it with its text."""
        given = self.cleaned_data
        return tokens.create(
            user=given.get("user") or User.objects.get(pk=self.maker.pk),
            name=given["name"],
            scopes=given["scopes"],
            expires_at=given["expires_at"],
            networks=given["allowed_networks"],
            service=given["service"],
            actor=self.maker,
        )
