"""`manage.py seed_demo`: fill every page with realistic data, of any size."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import services as audit
from audit.services import Target
from portal import demo


class Command(BaseCommand):
    help = "Fill every page with demonstration data; running it again replaces the alerts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        sizes = demo.Sizes()
        parser.add_argument(
            "--alerts", type=int, default=sizes.alerts, metavar="N", help="episodes in the history"
        )
        parser.add_argument("--audit-entries", type=int, default=sizes.audit_entries, metavar="N")
        parser.add_argument("--services", type=int, default=sizes.services, metavar="N")
        parser.add_argument("--issues", type=int, default=sizes.issues, metavar="N", help="errors")

    def handle(self, *_args: Any, **options: Any) -> None:
        names = ("alerts", "audit_entries", "services", "issues")
        sizes = demo.Sizes(**{name: options[name] for name in names})
        if min(options[name] for name in names) < 0:
            raise CommandError("A number of rows cannot be negative.")
        began = time.monotonic()
        made = demo.seed(sizes)
        audit.record("system.demo_seeded", target=Target("demo"), data=made)
        said = ", ".join(f"{count:,} {what}" for what, count in made.items())
        self.stdout.write(f"Made {said} in {time.monotonic() - began:.1f} s.")
