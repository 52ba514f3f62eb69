"""`manage.py up`: everything in the foreground, one line per part; Ctrl-C stops it in order."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.core.embedded import StartError
from portal.core.embedded.places import var_dir
from portal.supervisor.run import up


class Command(BaseCommand):
    help = "Run the whole portal in the foreground: database, Redis, web, worker, beat, Prometheus."
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        for problem in settings.CONFIG_PROBLEMS:
            self.stderr.write(f"{problem.variable}: {problem.message} {problem.hint}")
        try:
            code = up(var_dir())
        except StartError as error:
            raise CommandError(str(error)) from error
        raise SystemExit(code)
