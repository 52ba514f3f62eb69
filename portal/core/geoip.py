"""Looks up country and network of an IP address in local MaxMind databases; makes no request.

The files are read into memory rather than mapped: overwriting a mapped file in place would crash the
process. `geoipupdate` and similar tools replace files, so each is checked for a new version every minute.
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
CHECK_EVERY_SECONDS = 60
MAX_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Location:
    """`country` is ISO 3166-1 alpha-2, `asn` the number of the autonomous system."""

    country: str = ""
    asn: int | None = None


UNKNOWN = Location()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The state of a file, for the doctor: why it cannot be used, or its type and build time."""

    path: str
    problem: str = ""
    kind: str = ""
    built_at: datetime | None = None


class Database:
    """One database file. Its methods never raise: a damaged file must not prevent an audit entry."""

    def __init__(self, path: str) -> None:
        self.path = path
        # The reader and its cache are in one attribute so that they are replaced together.
        self._open: tuple[maxminddb.Reader | None, dict[str, Location]] = (None, {})
        self._identity: tuple[int, ...] | None = None
        self._next_check = 0.0
        self._lock = threading.Lock()
        self.problem = ""

    def location(self, address: str) -> Location:
        self._reload_if_changed(time.monotonic())
        reader, known = self._open
        if (found := known.get(address)) is not None or reader is None:
            return found or UNKNOWN
        found = _read(reader, address)
        if len(known) >= MAX_CACHED:
            known.clear()
        known[address] = found
        return found

    def facts(self) -> FileFacts:
        self._reload_if_changed(time.monotonic())
        reader, _ = self._open
        if reader is None:
            return FileFacts(self.path, self.problem)
        said = reader.metadata()
        return FileFacts(self.path, "", str(said.database_type)[:100], _moment(said.build_epoch))

    def _reload_if_changed(self, now: float) -> None:
        """Reopen the file if it was replaced; a thread that still uses the old reader can finish with it."""
        if now < self._next_check:
            return
        with self._lock:
            if now < self._next_check:
                return
            try:
                stat = os.stat(self.path)
                identity = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if identity != self._identity or self.problem:
                    reader = maxminddb.open_database(self.path, maxminddb.MODE_FILE)
                    self._open, self._identity, self.problem = (reader, {}), identity, ""
            except Exception as error:  # a damaged file can raise any exception
                self._set_problem(error)
            self._next_check = now + CHECK_EVERY_SECONDS

    def _set_problem(self, error: Exception) -> None:
        said = (error.strerror if isinstance(error, OSError) else "") or str(error)
        if said != self.problem:
            log.warning("%s in GEOIP_DATABASES cannot be used: %s", self.path, said[:200])
        self._open, self.problem = (None, {}), said[:200] or type(error).__name__


def _read(reader: maxminddb.Reader, address: str) -> Location:
    try:
        record: Any = reader.get(address)
    except Exception as error:  # an IPv6 address in an IPv4 file, or a damaged file
        log.debug("No location was found for an address: %s", error)
        return UNKNOWN
    if not isinstance(record, dict):
        return UNKNOWN
    asn = record.get("autonomous_system_number")
    known = isinstance(asn, int) and 0 < asn < 2**32
    return Location(_country(record), asn if known else None)


def _country(record: dict[str, Any]) -> str:
    """Return the ISO code of the country where the address is used, else where it is registered."""
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


def location(address: str | None) -> Location:
    """Return country and network of an address, each from the first file that has it."""
    if not address or not settings.GEOIP_DATABASES:
        return UNKNOWN
    country, asn = "", None
    for path in settings.GEOIP_DATABASES:
        found = _database(path).location(address)
        country, asn = country or found.country, found.asn if asn is None else asn
    return Location(country, asn)


def file_facts() -> list[FileFacts]:
    """Return the facts of each file that GEOIP_DATABASES names."""
    return [_database(path).facts() for path in settings.GEOIP_DATABASES]
