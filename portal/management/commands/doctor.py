"""`manage.py doctor`: check every connection, and report each problem with its fix."""

import json
from argparse import ArgumentParser
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from portal.doctor.examination import examine, worst
from portal.doctor.findings import Finding, Level


class Command(BaseCommand):
    help = "Check everything the portal depends on, one line each; exit with 1 if something failed."
    requires_system_checks: list[str] = []  # the examination includes them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")

    def handle(self, *_args: Any, **options: Any) -> None:
        findings = examine()
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            self._print(findings)
        if worst(findings) is Level.FAIL:
            raise SystemExit(1)

    def _print(self, findings: list[Finding]) -> None:
        width = max(len(finding.thing) for finding in findings)
        colour = self.style
        styles = {Level.OK: colour.SUCCESS, Level.WARN: colour.WARNING, Level.FAIL: colour.ERROR}
        for finding in findings:
            level = styles[finding.level](f"{finding.level.upper():4}")
            self.stdout.write(f"{level}  {finding.thing:{width}}  {finding.text}")
        counts = Counter(finding.level for finding in findings)
        said = [f"{counts[level]} {word}" for level, word in
                ((Level.FAIL, "failed"), (Level.WARN, "with warnings"), (Level.OK, "OK")) if counts[level]]  # fmt: skip
        self.stdout.write(", ".join(said) + ".")
