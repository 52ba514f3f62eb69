"""Model for received webhooks that wait to be processed."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.core.models import Upstream


class HookDelivery(models.Model):
    """A received webhook body; the rows are the queue between the quick answer and the processing."""

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="+")
    received_at = models.DateTimeField(default=timezone.now)
    body = models.BinaryField()
    digest = models.BinaryField(max_length=16, help_text="The same body is processed once.")
    processed_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        default_permissions = ()
        constraints = (
            # Finds the original of a repeated delivery, waiting or processed within the last minutes.
            models.UniqueConstraint(fields=["upstream", "digest"], name="hook_delivery_once"),
        )
        indexes = (
            # The queue, oldest first.
            models.Index(
                fields=["id"], name="hook_delivery_waiting", condition=Q(processed_at__isnull=True)
            ),
        )

    def __str__(self) -> str:
        return f"Webhook of {self.received_at:%Y-%m-%d %H:%M:%S}"
