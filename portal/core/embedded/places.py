"""Chooses where the embedded servers keep their data and sockets."""

import hashlib
import os
import pwd
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parents[3]
# sun_path holds 104 bytes on macOS and 108 on Linux; the longest socket name below takes 15.
SOCKET_DIR_LIMIT = 75
# initdb runs the programs beside it through a shell, with their path in double quotes.
NOT_IN_QUOTES = frozenset('"\\$`')
# libpq separates hosts by commas; the others have a meaning in Valkey's configuration file.
NOT_IN_SOCKET_DIR = frozenset(",\"'\\*?[")


class PlaceError(Exception):
    """A folder cannot be used; the message says which, why and what to do."""


def var_dir() -> Path:
    """Return the folder for everything a run writes: `$PORTAL_VAR`, or `var/` in the checkout."""
    return Path(os.environ.get("PORTAL_VAR") or BASE_DIR / "var").absolute()


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account that a server runs under; needed only when we are root."""

    uid: int
    gid: int
    name: str

    def popen_options(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def reaches(self, *checks: str) -> bool:
        """Run `test` with `checks` under this account; True when it succeeds."""
        command = subprocess.run(
            ["test", *checks], user=self.uid, group=self.gid, extra_groups=[], cwd="/", check=False
        )
        return command.returncode == 0


def unprivileged_account() -> Account | None:
    """Return the account for PostgreSQL if we are root (it refuses to run as uid 0), else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name)
    raise PlaceError(
        "PostgreSQL refuses to run as root, and this system has neither a postgres nor a nobody"
        " account. Run the portal as an ordinary user, or set DATABASE_URL."
    )


def socket_dir(var: Path) -> Path:
    """Return a private folder for sockets, with a path that fits into `sun_path` and needs no quoting.

    Raises PlaceError when the fallback under the temporary folder belongs to somebody else.
    """
    wanted = var / "run"
    if len(os.fsencode(wanted)) <= SOCKET_DIR_LIMIT and not NOT_IN_SOCKET_DIR & {*str(wanted)}:
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted
    digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"portal-{os.geteuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    status = short.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PlaceError(f"{short} belongs to another account; remove it and start again.")
    place = var / "sockets.place"  # `make clean` removes the folder that this file names
    if not place.exists():
        var.mkdir(parents=True, exist_ok=True)
        place.write_text(str(short))
    return short


def open_dir(var: Path, account: Account) -> Path:
    """Return a folder that `account` can reach, for data and binaries, when root runs the portal.

    This is `var/` itself if the account can pass through every parent. Otherwise (a checkout under a
    0700 home, or one whose path initdb cannot quote) it is a separate folder under /var/lib, whose
    path is stored in `var/postgres.place`. No file mode outside `var/` is changed.
    """
    is_plain = not NOT_IN_QUOTES & {*str(var)} or (var / "postgres" / "PG_VERSION").exists()
    if is_plain and account.reaches("-x", str(var)):
        return var
    pointer = var / "postgres.place"
    if pointer.exists():
        place = Path(pointer.read_text().strip())
        owner = place / "owner"
        if owner.exists() and owner.read_text() == f"{var}\n":
            return place
    for parent in (Path("/var/lib"), Path("/var/tmp")):  # noqa: S108 - survives a restart of the machine
        if account.reaches("-x", str(parent)) and os.access(parent, os.W_OK):
            place = Path(tempfile.mkdtemp(prefix="devops-portal-", dir=parent))
            place.chmod(0o711)
            (place / "owner").write_text(f"{var}\n")
            pointer.write_text(f"{place}\n")
            return place
    raise PlaceError(
        f"PostgreSQL runs as {account.name}, which cannot enter {var}, and neither /var/lib nor"
        " /var/tmp is writable. Move the checkout, or set DATABASE_URL."
    )
