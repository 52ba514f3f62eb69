"""`manage.py up`: run everything in the foreground, with one line per part; Ctrl-C stops it in order."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from portal.core.embedded.places import BASE_DIR


class Command(BaseCommand):
    help = "Run the whole portal in the foreground: database, Redis, web, worker, beat, Prometheus."
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        for problem in settings.CONFIG_PROBLEMS:
            self.stderr.write(f"{problem.variable}: {problem.message} {problem.hint}")
        os.chdir(BASE_DIR)
        # Replace this process by one without Django, which the supervisor does not need.
        os.execv(sys.executable, [sys.executable, "-m", "portal.supervisor"])  # noqa: S606
