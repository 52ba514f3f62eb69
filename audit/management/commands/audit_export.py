"""`manage.py audit_export`: writes the filtered audit trail as CSV, and prints its SHA-256."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from audit import exports, filters


class Command(BaseCommand):
    help = "Writes the filtered audit trail as CSV, newest entries first; it is audited like any export."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="?", default="-", help="a file; default: standard output")
        parser.add_argument(
            "--filter", action="append", default=[], metavar="NAME=VALUE",
            help=f"may be repeated; names: {', '.join(filters.NAMES)}",
        )  # fmt: skip

    def handle(self, *_args: Any, **options: Any) -> None:
        query = _query(options["filter"])
        try:
            with _written(options["path"]) as file:
                export = exports.create(query, actor=None)
                with closing(exports.begin(export, actor=None)) as blocks:
                    file.writelines(blocks)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except exports.BusyError as error:
            raise CommandError(str(error)) from error
        except exports.CancelledError as error:
            what = "The output is incomplete." if options["path"] == "-" else "No file was written."
            raise CommandError(f"The export was cancelled. {what}") from error
        except DatabaseError as error:
            raise CommandError(f"The database ended it: {error}") from error
        except OSError as error:
            raise CommandError(f"{options['path']} cannot be written: {error.strerror}.") from error
        export.refresh_from_db()
        self.stderr.write(
            f"{export.rows:,} entries, {export.bytes:,} bytes, SHA-256 {export.sha256}"
        )


def _query(pairs: list[str]) -> dict[str, str]:
    """Return the filters. Raises CommandError for an argument that is not `name=value`."""
    for pair in pairs:
        if "=" not in pair:
            raise CommandError(
                f"{pair!r} is not a filter. Write NAME=VALUE, for example group=auth."
            )
    return dict(pair.split("=", 1) for pair in pairs)


@contextmanager
def _written(path: str) -> Iterator[BinaryIO]:
    """Open a file that appears only when complete, readable by its owner only; `-` is standard output."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    # A name that nobody can have taken before: in a shared folder it would keep its owner and mode.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
