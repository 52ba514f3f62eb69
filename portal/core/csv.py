"""Streams rows as CSV with no cell that a spreadsheet would run as a formula (RFC 4180, OWASP ASVS 1.2.10)."""

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse

# The apostrophe is in the list so that it is escaped too, and the original can always be restored.
DANGEROUS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\x00",
    "'",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)
FLUSH_ROWS = 500


def cell(value: Any) -> str:
    """Return a value as text; text that starts like a formula is prefixed with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)  # starts with a bracket: not a formula
    text = value if isinstance(value, str) else str(value)
    return f"'{text}" if text.startswith(DANGEROUS) else text


class _Echo:
    """A file whose `write` returns its argument, which csv.writer then passes on as the result of `writerow`."""

    def write(self, text: str) -> str:
        return text


def lines(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield CSV text in blocks of several hundred rows."""
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    block = [writer.writerow(list(header))]
    for row in rows:
        block.append(writer.writerow([cell(value) for value in row]))
        if len(block) >= FLUSH_ROWS:
            yield "".join(block)
            block = []
    yield "".join(block)


def response(
    name: str, header: Iterable[str], rows: Iterable[Iterable[Any]]
) -> StreamingHttpResponse:
    """Return a streamed download called `name`.csv.

    The first block is built at once: an error in it can still be answered with a problem document.
    """
    blocks = lines(header, rows)
    first = next(blocks)
    reply = StreamingHttpResponse(chain([first], blocks), content_type="text/csv; charset=utf-8")
    reply["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return reply
