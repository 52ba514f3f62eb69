"""Models for channels, and for the routes that lead to them."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from alerts.routing import QuietHours, RoutingRule
from portal.core.crypto import EncryptedJSONField
from portal.core.matchers import MatcherError, parse
from portal.core.validators import validate_matchers

DAY = 86_400


def _within(least: int, most: int) -> list[Any]:
    return [MinValueValidator(least), MaxValueValidator(most)]


class Channel(models.Model):
    """One Apprise URL to deliver to, with its budget and its current state."""

    name = models.SlugField(unique=True)
    url = EncryptedJSONField("URL", blank=True, default="", editable=False)
    shown_url = models.CharField(
        "URL",
        max_length=500,
        blank=True,
        editable=False,
        help_text="The URL with its secrets masked.",
    )
    service = models.CharField(max_length=60, blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    managed = models.BooleanField(
        default=False, editable=False, help_text="Set by environment variables."
    )
    send_resolved = models.BooleanField(
        default=True,
        help_text="Also notify when alerts are resolved. A route can turn this off as well.",
    )
    budget_messages = models.PositiveIntegerField(
        default=30, validators=_within(1, 100_000),
        help_text="Storm budget: maximum number of messages in the window. The rest is combined into one digest.",
    )  # fmt: skip
    budget_seconds = models.PositiveIntegerField(
        default=600, validators=_within(10, DAY), help_text="Length of the storm budget's window."
    )
    timeout_seconds = models.PositiveIntegerField(
        default=10, validators=_within(1, 60), help_text="Timeout for a whole delivery."
    )

    lease_until = models.DateTimeField(null=True, editable=False)
    not_before = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    error = models.TextField(blank=True, default="", editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:alerts_channel_change", args=[self.pk])


class RouteQuerySet(models.QuerySet["Route"]):
    def in_order(self) -> "RouteQuerySet":
        return self.order_by("position", "id")


class Route(models.Model):
    """Which alerts go to which channels, and how often. Routes are evaluated in the order of `position`."""

    name = models.SlugField(unique=True)
    position = models.PositiveIntegerField(
        default=100, help_text="Routes are evaluated from the lowest position to the highest."
    )
    enabled = models.BooleanField(default=True)
    managed = models.BooleanField(default=False, editable=False)
    matchers = ArrayField(
        models.CharField(max_length=500), blank=True, default=list, validators=[validate_matchers],
        help_text='All of them must match, for example severity=~"critical|page". Leave empty to match all alerts.',
    )  # fmt: skip
    goes_on = models.BooleanField(
        "continue", default=False, help_text="Also evaluate the routes after this one."
    )
    channels = models.ManyToManyField(Channel, blank=True, related_name="routes")
    group_by = ArrayField(
        models.CharField(max_length=200), blank=True, default=list,
        help_text='Alerts with the same values of these labels share a message. "..." sends one message per alert.',
    )  # fmt: skip
    group_wait_seconds = models.PositiveIntegerField(
        default=30,
        validators=_within(0, 3600),
        help_text="How long to wait before a group's first message.",
    )
    group_interval_seconds = models.PositiveIntegerField(
        default=300, validators=_within(1, DAY), help_text="Minimum time between two messages of a group."
    )  # fmt: skip
    repeat_interval_seconds = models.PositiveIntegerField(
        default=4 * 3600, validators=_within(60, 30 * DAY),
        help_text="When to notify again of alerts that are still firing, unless all are acknowledged.",
    )  # fmt: skip
    send_resolved = models.BooleanField(default=True)
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    quiet_zone = models.CharField("time zone", max_length=60, default="UTC")
    quiet_unless = ArrayField(
        models.CharField(max_length=500), blank=True, default=list, validators=[validate_matchers],
        help_text="Alerts that match all of these are sent in quiet hours too.",
    )  # fmt: skip

    objects = RouteQuerySet.as_manager()

    class Meta:
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:alerts_route_change", args=[self.pk])

    def clean(self) -> None:
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValidationError({"quiet_until": "Quiet hours need both a start and an end."})
        if self.quiet_from is not None and self.quiet_from == self.quiet_until:
            said = "Quiet hours cannot start and end at the same time. Choose another end, or leave both empty."
            raise ValidationError({"quiet_until": said})
        if self.quiet_zone not in available_timezones():
            raise ValidationError(
                {"quiet_zone": "Use a name from the time zone database, for example Europe/Paris."}
            )

    def rule(self, channels: tuple[int, ...]) -> RoutingRule:
        """Return the route as plain values for alerts.routing. Raises MatcherError."""
        quiet = None
        if self.quiet_from is not None and self.quiet_until is not None:
            unless = tuple(parse(written) for written in self.quiet_unless)
            quiet = QuietHours(self.quiet_from, self.quiet_until, self.quiet_zone, unless)
        return RoutingRule(
            id=self.pk,
            name=self.name,
            matchers=tuple(parse(written) for written in self.matchers),
            goes_on=self.goes_on,
            group_by=tuple(self.group_by),
            group_wait=timedelta(seconds=self.group_wait_seconds),
            group_interval=timedelta(seconds=self.group_interval_seconds),
            repeat_interval=timedelta(seconds=self.repeat_interval_seconds),
            send_resolved=self.send_resolved,
            quiet=quiet,
            channels=channels,
        )


def load_rules() -> list[RoutingRule]:
    """Return all enabled routes in order, without those whose matchers no longer parse."""
    rules = []
    for route in Route.objects.filter(enabled=True).in_order().prefetch_related("channels"):
        try:
            rules.append(route.rule(tuple(channel.pk for channel in route.channels.all())))
        except MatcherError:
            continue
    return rules
