"""Limits how long a read of the audit trail may take, with a message that says how to narrow it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

LIST_SECONDS = 5
SENTENCE = (
    "This filter reads too much of the trail and was stopped after {seconds} s. Narrow it: choose a shorter"
    " time range, or add an actor, an action, a target or an address."
)


class ReadTimeoutError(Exception):
    """The statement timeout ended the read; the message says how to narrow the filter."""


@contextmanager
def limited(seconds: int = LIST_SECONDS) -> Iterator[None]:
    """Run the statements of the block under a statement timeout. Raises ReadTimeoutError."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{seconds * 1000}ms"]
            )
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise ReadTimeoutError(SENTENCE.format(seconds=seconds)) from error
        raise
