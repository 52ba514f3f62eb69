"""Fixtures of the roof's tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper
from pytest_django import DjangoDbBlocker


@pytest.fixture
def broken_database(
    django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Every use of the database fails as it does when the server is gone."""

    def fail(*_args: Any, **_kwargs: Any) -> CursorWrapper:
        raise OperationalError('connection to server on socket "/nowhere" failed')

    with django_db_blocker.unblock():
        monkeypatch.setattr(connection, "cursor", fail)
        monkeypatch.setattr(connection, "ensure_connection", fail)
        monkeypatch.setattr(connection, "close", lambda: None)
        yield
        monkeypatch.undo()
