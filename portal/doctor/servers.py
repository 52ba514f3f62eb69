"""Assesses PostgreSQL, Redis and the disks by the facts read from them (pure)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.doctor.findings import Finding, fail, ok, warn

OLDEST_POSTGRESQL = 14
SKEW_LIMIT_SECONDS = 5
FULL = 0.9
CROWDED = 0.8
LITTLE_SPACE = 1024**3
NO_SPACE = 100 * 1024**2
# Addresses are reassigned: after three months a few per cent of the entries are wrong.
GEOIP_MAX_AGE = timedelta(days=90)
# Words in the type names of MaxMind and DB-IP databases that contain countries or networks.
GEOIP_TYPES = ("Country", "City", "Enterprise", "ASN", "ISP", "Location")


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """`skew_seconds` is the database's clock minus ours."""

    version: int
    connections: int
    connections_max: int
    default_partition_rows: int | None  # None while the table does not exist
    pending_migrations: int
    skew_seconds: float


def database(facts: DatabaseFacts) -> list[Finding]:
    return [
        _version(facts.version),
        _migrations(facts.pending_migrations),
        _connections(facts.connections, facts.connections_max),
        _partitions(facts.default_partition_rows),
        _clock(facts.skew_seconds),
    ]


def _version(number: int) -> Finding:
    major = number // 10_000
    if major < OLDEST_POSTGRESQL:
        return fail(
            "postgresql",
            f"PostgreSQL {major} is too old: the portal needs {OLDEST_POSTGRESQL} or later.",
            "Upgrade the server, or point DATABASE_URL to a newer one.",
        )
    return ok("postgresql", f"PostgreSQL {major} answers.")


def _migrations(pending: int) -> Finding:
    if pending:
        return fail(
            "migrations", f"{pending} migrations are not applied.", "Run manage.py prepare."
        )
    return ok("migrations", "All migrations are applied.")


def _connections(used: int, most: int) -> Finding:
    said = f"{used} of {most} connections to the database server are in use."
    cure = "Raise max_connections there, or run fewer processes and threads."
    if used >= FULL * most:
        return fail("connections", said, cure)
    return warn("connections", said, cure) if used >= CROWDED * most else ok("connections", said)


def _partitions(rows: int | None) -> Finding:
    if rows is None:
        return warn("audit partitions", "Unknown while migrations are missing.")
    if rows:
        return warn(
            "audit partitions",
            "The default partition of the audit trail contains rows, so a month had no partition of its own.",
            "Start beat and a worker, which create partitions in advance, and set the machine's clock by NTP.",
        )
    return ok("audit partitions", "Every month of the audit trail has a partition.")


def _clock(skew: float) -> Finding:
    if abs(skew) > SKEW_LIMIT_SECONDS:
        side = "ahead of" if skew > 0 else "behind"
        return warn(
            "clock",
            f"The database server's clock is {abs(skew):.0f} s {side} this machine's.",
            "Synchronise both with NTP.",
        )
    return ok("clock", "The clocks of this machine and of the database server agree.")


@dataclass(frozen=True, slots=True)
class RedisFacts:
    version: str
    eviction: str
    used_bytes: int
    max_bytes: int
    append_only: bool
    saves: bool
    last_save_ok: bool


def redis(facts: RedisFacts) -> list[Finding]:
    return [_eviction(facts), _persistence(facts), _memory(facts)]


def _eviction(facts: RedisFacts) -> Finding:
    if facts.max_bytes and facts.eviction != "noeviction":
        return fail(
            "redis",
            f"Redis {facts.version} answers, but with its policy {facts.eviction} it deletes queued tasks and rate"
            " limits when memory runs low.",
            "Set maxmemory-policy noeviction in its configuration.",
        )
    return ok("redis", f"Redis {facts.version} answers and evicts nothing.")


def _persistence(facts: RedisFacts) -> Finding:
    if not facts.last_save_ok:
        return fail(
            "redis persistence",
            "Redis failed to write to its disk.",
            "Check the Redis log; the disk may be full.",
        )
    if not (facts.append_only or facts.saves):
        return warn(
            "redis persistence",
            "Redis does not persist its data, so a restart loses queued tasks and rate limits.",
            "Set appendonly yes in its configuration.",
        )
    kept = "an append-only file" if facts.append_only else "snapshots"
    return ok("redis persistence", f"Redis keeps its data in {kept}.")


def _memory(facts: RedisFacts) -> Finding:
    used = f"{facts.used_bytes / 1024**2:.0f} MB"
    if not facts.max_bytes:
        return ok("redis memory", f"Redis uses {used}; no memory limit is configured.")
    said = f"Redis uses {used} of {facts.max_bytes / 1024**2:.0f} MB."
    cure = "Raise maxmemory, or run redis-cli --bigkeys to find out what uses the memory."
    share = facts.used_bytes / facts.max_bytes
    if share >= FULL:
        return fail("redis memory", said, cure)
    return warn("redis memory", said, cure) if share >= CROWDED else ok("redis memory", said)


def disk(name: str, *, free_bytes: int) -> Finding:
    """Assess the free space on the file system of `name`."""
    thing, free = f"disk of {name}", f"{free_bytes / 1024**3:.1f} GB"
    cure = "Delete files that are not needed, or use a larger disk."
    if free_bytes < NO_SPACE:
        return fail(thing, f"Only {free_bytes / 1024**2:.0f} MB are free.", cure)
    if free_bytes < LITTLE_SPACE:
        return warn(thing, f"{free} are free.", cure)
    return ok(thing, f"{free} are free.")


def folder(thing: str, path: str, *, problem: str, used_for: str) -> Finding:
    """Assess a folder that the portal writes to; `problem` is the operating system's message, or empty."""
    if problem:
        return fail(
            thing,
            f"{path} is not writable ({problem}), so {used_for}.",
            "Create the folder, and make the account that runs the portal its owner.",
        )
    return ok(thing, f"{path} is writable.")


def geoip(
    path: str, *, problem: str, kind: str, built_at: datetime | None, now: datetime
) -> Finding:
    """Assess a file of GEOIP_DATABASES; `problem` says why it cannot be read, `kind` is its declared type."""
    thing, lost = (
        "country and network",
        "audit entries lack the country or network it would provide",
    )
    if problem:
        said = f"{path} cannot be used ({problem.rstrip('.')}), so {lost}."
        return fail(thing, said, "Set GEOIP_DATABASES to readable files in MaxMind's format.")
    if not any(word in kind for word in GEOIP_TYPES):
        said = (
            f"{path} is of type {kind or 'unknown'}, which contains neither countries nor networks."
        )
        return fail(thing, said, "Use a database of countries, cities or autonomous systems.")
    if built_at is not None and now - built_at > GEOIP_MAX_AGE:
        said = f"{path} ({kind}) is {(now - built_at).days} days old, so some of its entries are outdated."
        return warn(thing, said, "Update it regularly, for example with geoipupdate.")
    return ok(thing, f"{path} ({kind}) is in use.")
