"""Where the embedded servers live: short sockets, reachable data, nobody else's modes changed."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.core.embedded import places
from portal.core.embedded.places import PlaceError, open_dir, socket_dir
from portal.core.embedded.postgres import Postgres

as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="skipped: only root runs PostgreSQL as another account."
)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every account can enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="portal-places-") as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(tempfile, "gettempdir", lambda: name)
        yield Path(name)


def test_sockets_lie_under_var_where_the_path_is_short(temporary: Path) -> None:
    assert socket_dir(temporary / "var") == temporary / "var" / "run"


def test_a_long_path_gets_a_private_short_folder_always_the_same(temporary: Path) -> None:
    var = temporary / ("long-" * 20) / "var"
    found = socket_dir(var)
    assert len(os.fsencode(found)) <= places.SOCKET_DIR_LIMIT
    assert socket_dir(var) == found
    assert socket_dir(var.with_name("var2")) != found
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


def test_make_clean_removes_the_folders_outside_the_checkout(temporary: Path) -> None:
    checkout = temporary / ("long-" * 20)
    sockets, data = socket_dir(checkout / "var"), temporary / "data of PostgreSQL"
    data.mkdir()
    (checkout / "var" / "postgres.place").write_text(str(data))
    shutil.copy(places.BASE_DIR / "Makefile", checkout)
    subprocess.run(["make", "clean"], cwd=checkout, check=True, timeout=30)
    assert [sockets.exists(), data.exists(), (checkout / "var").exists()] == [False] * 3


def test_a_planted_link_in_the_temporary_folder_is_refused(temporary: Path) -> None:
    var = temporary / ("long-" * 20) / "var"
    found = socket_dir(var)
    found.rmdir()
    (temporary / "target").mkdir()
    found.symlink_to(temporary / "target")
    with pytest.raises(PlaceError, match="another account"):
        socket_dir(var)


@as_root
def test_root_in_an_open_checkout_uses_var(temporary: Path) -> None:
    account = places.unprivileged_account()
    assert account is not None
    (temporary / "var").mkdir()
    assert open_dir(temporary / "var", account) == temporary / "var"


@as_root
def test_root_in_a_private_home_gets_an_open_place_and_the_home_stays_private(
    temporary: Path,
) -> None:
    home = temporary / "home"
    (home / "portal" / "var").mkdir(parents=True)
    home.chmod(0o700)
    account = places.unprivileged_account()
    assert account is not None
    var = home / "portal" / "var"
    place = open_dir(var, account)
    try:
        assert account.reaches("-x", str(place))
        assert open_dir(var, account) == place
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        (place / "owner").unlink()
        place.rmdir()


@as_root
def test_postgres_starts_as_root_in_a_private_home_and_keeps_its_data(temporary: Path) -> None:
    home = temporary / "home"
    var = home / "portal" / "var"
    var.mkdir(parents=True)
    home.chmod(0o700)
    server = Postgres(var, unsafe=True)
    try:
        server.start(owned=True)
        with server._connect("portal") as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server.stop()
        server.start(owned=True)
        with server._connect("portal") as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        server.stop()
        _remove(server.place)


def _remove(place: Path) -> None:
    assert "devops-portal-" in place.name
    for path in sorted(place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    place.rmdir()
