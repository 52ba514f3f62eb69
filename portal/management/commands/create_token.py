"""`manage.py create_token NAME --user U --scope S … [--expires 90d] [--cidr …] [--service …]` prints a new token."""

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.core.models import Service
from portal.core.request_context import SYSTEM
from security import tokens
from security.models import Scope


class Command(BaseCommand):
    help = "Create an API token and print it, and nothing else. It cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the token is used for.")
        parser.add_argument("--user", required=True, help="The account it acts for.")
        parser.add_argument(
            "--scope", action="append", nargs="+", required=True, help=", ".join(Scope.values)
        )
        parser.add_argument(
            "--expires", default="", help="lifetime, such as 90d or 12h; default: no expiry"
        )
        parser.add_argument(
            "--cidr",
            action="append",
            nargs="+",
            default=[],
            help="Networks from which it may be used.",
        )

        parser.add_argument(
            "--service", default="", help="Slug of the service whose application uses it."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(
                f"There is no active account {options['user']!r}."
                " `manage.py enrol_link NAME --create` creates one."
            )
        service = Service.objects.filter(slug=options["service"]).first()
        if options["service"] and service is None:
            raise CommandError(
                f"There is no service {options['service']!r}. Add it in the admin, or omit --service."
            )
        expires = options["expires"]
        try:
            _, written = tokens.create(
                user=user,
                name=options["name"],
                scopes=[scope for group in options["scope"] for scope in group],
                expires_at=tokens.parse_expiry(expires, at=timezone.now()) if expires else None,
                networks=[network for group in options["cidr"] for network in group],
                service=service,
                actor=SYSTEM,
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(written)
