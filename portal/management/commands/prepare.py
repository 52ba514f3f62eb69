"""`manage.py prepare`: bring the database up to date for this version; `up` runs it before the web server."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError

from portal import preparation
from portal.core.crypto import LostKeyError
from security.enrolment import EnrolmentError

STEPS: dict[str, tuple[str, Callable[[], str]]] = {
    "migrations": ("Migrations", preparation.migrate),
    "static": ("Static files", preparation.collect_static_files),
    "upstreams": ("Upstreams", preparation.register_upstreams),
    "webhook": ("Webhook token", preparation.keep_webhook_token),
}


class Command(BaseCommand):
    help = "Migrate, collect static files, register upstreams and the webhook's token. Can be repeated safely."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", choices=[*STEPS], help="Run only this step.")
        parser.add_argument("--skip", choices=[*STEPS], action="append", help="Skip this step.")
        parser.add_argument("--progress", type=Path, help="Also write JSON lines to this file.")

    def handle(
        self,
        *_args: Any,
        only: str | None,
        skip: list[str] | None,
        progress: Path | None,
        **_options: Any,
    ) -> None:
        def tell(part: str, sentence: str, **more: str) -> None:
            if progress is None:
                self.stdout.write(f"{part}: {sentence}" if sentence else next(iter(more.values())))
            else:
                with progress.open("a") as file:
                    file.write(json.dumps({"part": part, "sentence": sentence, **more}) + "\n")

        for step in [only] if only else [step for step in STEPS if step not in (skip or ())]:
            part, run = STEPS[step]
            started = time.monotonic()
            try:
                said = run()
            except OperationalError as error:
                reason = " ".join(str(error).split())[:300]
                cure = "Start that server, or correct DATABASE_URL."
                raise CommandError(f"The database cannot be used: {reason}. {cure}") from error
            except LostKeyError as error:
                raise CommandError(str(error)) from error
            if said:
                tell(part, f"{said} in {time.monotonic() - started:.1f} s")
        if only is None:
            try:
                if link := preparation.first_administrator_link():
                    tell("", "", link=link)
            except EnrolmentError as error:
                tell("Administrator", str(error))
