"""`manage.py audit_prune`: lists the months of the audit trail past the retention period; `--apply` drops them."""

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
            "--apply", action="store_true", help="drop them now, as the hourly tick does"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        months, now = settings.AUDIT_RETENTION_MONTHS, timezone.now()
        if options["apply"]:
            done = retention.prune(at=now, months=months)
            found, verb = [*done.dropped, *done.kept], "dropped"
        else:
            found, verb = retention.expired(at=now, months=months), "would be dropped"
        for month in found:
            kept = f"kept, because not read yet by {', '.join(month.unread_by)}"
            self.stdout.write(
                f"{month.name}: {month.rows} entries {kept if month.unread_by else verb}"
            )
        if not found:
            kept = f"{months} full months are kept" if months else "all months are kept"
            self.stdout.write(f"No month is past its retention: {kept}.")
