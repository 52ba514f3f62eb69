"""Country and network of an address, from MaxMind databases in files of this machine: nobody is asked.

The files are read, not mapped into memory: one that is overwritten in place would end a process that
maps it. `geoipupdate` and its like replace files, so each is looked at again once a minute.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import maxminddb
from django.conf import settings

log = logging.getLogger(__name__)
LOOKED_AT_SECONDS = 60
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """`country` is ISO 3166-1 alpha-2, `asn` the number of the autonomous system."""

    country: str = ""
    asn: int | None = None


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the doctor asks of a file: why it cannot be used, or what it holds and of when."""

    path: str
    problem: str = ""
    kind: str = ""
    built_at: datetime | None = None


class Database:
    """One file. It never raises: no file may stop the entry that asks it."""

    def __init__(self, path: str) -> None:
        self.path = path
        # One attribute: what is remembered belongs to the file it was read from.
        self._open: tuple[maxminddb.Reader | None, dict[str, Place]] = (None, {})
        self._seen: tuple[int, ...] | None = None
        self._next_look = 0.0
        self._lock = threading.Lock()
        self.problem = ""

    def place(self, address: str) -> Place:
        self._look(time.monotonic())
        reader, known = self._open
        if (found := known.get(address)) is not None or reader is None:
            return found or NOWHERE
        found = _read(reader, address)
        if len(known) >= REMEMBERED:
            known.clear()
        known[address] = found
        return found

    def facts(self) -> FileFacts:
        self._look(time.monotonic())
        reader, _ = self._open
        if reader is None:
            return FileFacts(self.path, self.problem)
        said = reader.metadata()
        return FileFacts(self.path, "", str(said.database_type)[:100], _moment(said.build_epoch))

    def _look(self, now: float) -> None:
        """Open the file again when it is another one; the old reader ends with its last user."""
        if now < self._next_look:
            return
        with self._lock:
            if now < self._next_look:
                return
            try:
                stat = os.stat(self.path)
                seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if seen != self._seen or self.problem:
                    reader = maxminddb.open_database(self.path, maxminddb.MODE_FILE)
                    self._open, self._seen, self.problem = (reader, {}), seen, ""
            except Exception as error:  # a broken file raises whatever its bytes lead to
                self._refuse(error)
            self._next_look = now + LOOKED_AT_SECONDS

    def _refuse(self, error: Exception) -> None:
        said = (error.strerror if isinstance(error, OSError) else "") or str(error)
        if said != self.problem:
            log.warning("%s of GEOIP_DATABASES cannot be used: %s", self.path, said[:200])
        self._open, self.problem = (None, {}), said[:200] or type(error).__name__


def _read(reader: maxminddb.Reader, address: str) -> Place:
    try:
        record: Any = reader.get(address)
    except Exception as error:  # an IPv6 address in an IPv4 file, or bytes that were damaged
        log.debug("No place of an address: %s", error)
        return NOWHERE
    if not isinstance(record, dict):
        return NOWHERE
    asn = record.get("autonomous_system_number")
    known = isinstance(asn, int) and 0 < asn < 2**32
    return Place(_country(record), asn if known else None)


def _country(record: dict[str, Any]) -> str:
    """Return where the address is used, or else where it is registered."""
    for name in ("country", "registered_country"):
        about = record.get(name)
        code = about.get("iso_code") if isinstance(about, dict) else None
        if isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha():
            return code.upper()
    return ""


def _moment(epoch: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(epoch, UTC)
    except (OverflowError, ValueError, OSError):
        return None


@cache
def _database(path: str) -> Database:
    return Database(path)


def place(address: str | None) -> Place:
    """Return what the files know of an address: from each, what those before it did not know."""
    if not address or not settings.GEOIP_DATABASES:
        return NOWHERE
    country, asn = "", None
    for path in settings.GEOIP_DATABASES:
        found = _database(path).place(address)
        country, asn = country or found.country, found.asn if asn is None else asn
    return Place(country, asn)


def examined() -> list[FileFacts]:
    """Return the facts of each file that GEOIP_DATABASES names."""
    return [_database(path).facts() for path in settings.GEOIP_DATABASES]
