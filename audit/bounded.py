"""Bounds a read of the trail in time, and says what to do when it reads too much."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

LIST_SECONDS = 5
SENTENCE = (
    "This filter reads too much of the trail and was stopped after {seconds} s. Narrow it: give a shorter"
    " range of time, or name an actor, an action, a target or an address."
)


class TooWideError(Exception):
    """The statement timeout ended the read; the message says what to do."""


@contextmanager
def reading(seconds: int = LIST_SECONDS) -> Iterator[None]:
    """Run the block's statements under a timeout. Raises TooWideError."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{seconds * 1000}ms"]
            )
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooWideError(SENTENCE.format(seconds=seconds)) from error
        raise
