"""`manage.py audit_prune`: says which months of the trail are past the policy; `--apply` drops them."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from audit import retention


class Command(BaseCommand):
    help = (
        "Lists the months of the audit trail past AUDIT_RETENTION_MONTHS; --apply drops them now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--apply", action="store_true", help="drop them, as the hourly tick does"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        months, now = settings.AUDIT_RETENTION_MONTHS, timezone.now()
        act = retention.prune if options["apply"] else retention.expired
        found = act(at=now, months=months)
        verb = "dropped" if options["apply"] else "would be dropped"
        for month in found:
            self.stdout.write(f"{month.name}: {month.rows} entries {verb}")
        if not found:
            kept = f"{months} full months are kept" if months else "everything is kept"
            self.stdout.write(f"Nothing is past the policy: {kept}.")
