"""`manage.py poll [NAME]`: poll all enabled upstreams, or one, now and in the foreground."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring import polling
from portal import managed
from portal.core.models import Upstream


class Command(BaseCommand):
    help = (
        "Poll all upstreams, or the one called NAME, once and now; exit 1 when one of them failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "name", nargs="?", metavar="NAME", help="name of an upstream; all when left out"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        managed.synchronise()
        upstreams = Upstream.objects.enabled().order_by("name")
        if options["name"]:
            upstreams = upstreams.filter(name=options["name"])
        names = dict(upstreams.values_list("pk", "name"))
        if not names:
            known = ", ".join(Upstream.objects.values_list("name", flat=True)) or "none yet"
            raise CommandError(
                f"There is no enabled upstream{' ' + options['name'] if options['name'] else ''}. Known: {known}."
                " Set PROMETHEUS_URL or ALERTMANAGER_URL, or add one in the admin."
            )
        failed = [name for pk, name in names.items() if not self._poll(pk, name)]
        if failed:
            raise CommandError(
                f"{len(failed)} of {len(names)} upstreams failed: {', '.join(failed)}."
            )

    def _poll(self, pk: int, name: str) -> bool:
        outcome = polling.poll(pk)
        if outcome.skipped:
            self.stdout.write(f"{name}: skipped, a worker is polling it right now.")
        elif outcome.error:
            self.stdout.write(f"{name}: FAILED after {outcome.seconds:.2f} s. {outcome.error}")
        else:
            self.stdout.write(f"{name}: {outcome.summary} ({outcome.seconds:.2f} s).")
        return not outcome.error
