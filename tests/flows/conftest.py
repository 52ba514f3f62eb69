"""Servers that several flows share."""

from collections.abc import Iterator

import pytest

from tests.receiver import CannotInstallError, Receiver, running


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Yield a real receiver of error reports."""
    try:
        with running(tmp_path_factory.mktemp("receiver")) as started:
            yield started
    except CannotInstallError as error:
        pytest.skip(f"skipped: no error receiver. Bugsink cannot be installed: {error}")
