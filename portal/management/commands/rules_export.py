"""`manage.py rules_export [PATH]`: write the alert rules as a file for Prometheus."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.rules import services
from portal.core.models import Upstream, UpstreamKind

NAME = "portal-rules.yml"


class Command(BaseCommand):
    help = "Write the alert rules to PATH (a file, or a folder for portal-rules.yml), or to standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", nargs="?", metavar="PATH")
        parser.add_argument(
            "--upstream", metavar="NAME", default="", help="only rules of this Prometheus"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        upstream = self._upstream(options["upstream"])
        services.ask_again(r for r in services.of_prometheus(upstream) if not r.accepted_at)
        if not options["path"]:
            self.stdout.write(services.export(upstream).text, ending="")
            return
        path = Path(options["path"])
        path = path / NAME if path.is_dir() else path
        try:
            file, changed = services.write(path, upstream)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        for sentence in file.left_out:
            self.stderr.write(f"Left out: {sentence}.")
        if not changed:
            self.stdout.write(f"{path} is unchanged: {file.count} rules.")
            return
        self.stdout.write(
            f"Wrote {file.count} rules to {path}. prometheus.yml needs, once:\n"
            f"  rule_files:\n    - {path.absolute()}\n"
            "Then reload Prometheus: SIGHUP, or POST /-/reload with --web.enable-lifecycle."
        )

    @staticmethod
    def _upstream(name: str) -> Upstream | None:
        if not name:
            return None
        prometheuses = Upstream.objects.filter(kind=UpstreamKind.PROMETHEUS)
        if found := prometheuses.filter(name=name).first():
            return found
        known = ", ".join(prometheuses.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no Prometheus {name}. Known: {known}.")
