"""`make bench [ARGS=name …]`: measures on servers of its own, prints the table, fails when a bound breaks."""

import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import django
from django.core.management import call_command

from portal.core.embedded import EmbeddedServers
from portal.core.embedded.places import BASE_DIR

CASES = (
    "alertmanager",
    "hooks",
    "errors",
    "checks",
    "notifications",
    "detection",
    "audit",
    "pages",
    "trail",
    "timeline",
)


def main(names: list[str]) -> int:
    parent = BASE_DIR / "var" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    os.environ["PORTAL_DEBIAN_VAR"] = os.environ.get("PORTAL_VAR") or str(BASE_DIR / "var")
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    os.environ |= {"PORTAL_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "portal.settings", "LOG_LEVEL": "ERROR",
                   "ALLOWED_HOSTS": "testserver,127.0.0.1"}  # fmt: skip
    servers = EmbeddedServers(folder, needs=frozenset({"DATABASE_URL", "REDIS_URL"}))
    os.environ |= servers.start(owned=True)
    try:
        return _measure(names or list(CASES))
    finally:
        place = servers.postgres.place
        servers.stop(even_if_used=True)
        for gone in {folder, place}:
            shutil.rmtree(gone, ignore_errors=True)


def _measure(names: list[str]) -> int:
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    table = importlib.import_module("tests.bench.table")
    rows = []
    for name in names:
        print(f"Measuring {name} …", file=sys.stderr)
        rows += list(importlib.import_module(f"tests.bench.{name}").measure())
    print(table.printed(rows))
    broken = [row.what.strip() for row in rows if not row.holds]
    print(
        f"\n{len(rows) - len(broken)} of {len(rows)} bounds hold."
        + (f" Broken: {'; '.join(broken)}." if broken else "")
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
