"""`manage.py poll [NAME]`: poll one upstream, or all enabled ones, now and in the foreground."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring import polling
from portal import managed_upstreams
from portal.core.models import Upstream


class Command(BaseCommand):
    help = "Poll all upstreams, or the one called NAME, once and now; exit with 1 if a poll failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "name", nargs="?", metavar="NAME", help="name of an upstream; default: all"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        managed_upstreams.synchronise()
        upstreams = Upstream.objects.servers().enabled().order_by("name")
        known = dict(upstreams.values_list("pk", "name"))
        wanted = options["name"]
        names = {pk: name for pk, name in known.items() if wanted in (None, name)}
        if not names:
            raise CommandError(_nothing_to_poll(wanted, list(known.values())))
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
            told = f"{name}: {outcome.summary} ({outcome.seconds:.2f} s)."
            self.stdout.write(f"{told} {outcome.warning}".rstrip())
        return not outcome.error


def _nothing_to_poll(wanted: str | None, known: list[str]) -> str:
    if not known:
        hint = "Set PROMETHEUS_URL or ALERTMANAGER_URL, or add or enable one in the admin."
        return f"There is no enabled upstream. {hint}"
    if Upstream.objects.servers().filter(name=wanted).exists():
        return f"The upstream {wanted} is disabled. Enable it in the admin, or in the environment that sets it."
    return f"There is no upstream {wanted}. Enabled ones: {', '.join(known)}."
