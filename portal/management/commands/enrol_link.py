"""`manage.py enrol_link USERNAME [--create] [--superuser]` prints a one-time link, valid for 15 minutes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.core.request_context import SYSTEM
from security import enrolment


class Command(BaseCommand):
    help = "Print a one-time link with which the user of an account sets their password and second factor."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--create", action="store_true", help="Create the account if it does not exist."
        )
        parser.add_argument("--superuser", action="store_true", help="Make it a superuser.")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            link = enrolment.make_link(
                options["username"],
                create=options["create"],
                superuser=options["superuser"],
                actor=SYSTEM,
            )
        except enrolment.EnrolmentError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(link)
