#!/usr/bin/env python
"""The portal's command line; finds or starts this checkout's embedded servers when no URL is set."""

import os
import sys
from contextlib import nullcontext

# `up` owns the servers it starts; these need none.
WITHOUT_SERVERS = frozenset(
    {"up", "help", "--help", "-h", "version", "--version", "makemessages", "collectstatic"}
)


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    try:
        from django.core.management import execute_from_command_line

        from portal.core.embedded import PlaceError, StartError, joined
    except ImportError as error:
        print(
            f"{error}. The packages are not installed here: run `make run` once.", file=sys.stderr
        )
        return 1
    alone = len(sys.argv) < 2 or sys.argv[1] in WITHOUT_SERVERS
    try:
        with nullcontext() if alone else joined():
            execute_from_command_line(sys.argv)
    except (StartError, PlaceError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
