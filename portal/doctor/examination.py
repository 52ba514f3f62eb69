"""Runs the whole examination, part by part; a part that fails does not stop the others."""

import logging
from collections.abc import Callable

from django.db import DatabaseError, ProgrammingError, connection
from redis.exceptions import RedisError

from portal.doctor import facts, upstreams
from portal.doctor.findings import ORDER, Finding, Level, fail

log = logging.getLogger(__name__)
Part = Callable[[], list[Finding]]

# Each part's name and function. The database and Redis come first, because the others need them.
PARTS: tuple[tuple[str, Part], ...] = (
    ("configuration", facts.configuration),
    ("postgresql", facts.database),
    ("redis", facts.redis_server),
    ("worker and beat", facts.processes),
    ("queue", facts.queue),
    ("backlogs", facts.backlogs),
    ("trail", facts.trail),
    ("channels", facts.channels),
    ("files", facts.places),
    ("upstreams", upstreams.examine),
)


def examine() -> list[Finding]:
    """Return all findings, in the order of the parts."""
    return [finding for name, part in PARTS for finding in _examined(name, part)]


def _examined(name: str, part: Part) -> list[Finding]:
    try:
        return part()
    except ProgrammingError:
        return [
            fail(
                name,
                "Its tables are missing, or from another version of the portal.",
                "Run manage.py prepare.",
            )
        ]
    except DatabaseError as error:
        connection.close()
        return [fail(name, f"The database cannot be used: {_short(error)}.", "Check DATABASE_URL.")]
    except (RedisError, OSError) as error:
        return [fail(name, f"Redis cannot be used: {_short(error)}.", "Check REDIS_URL.")]
    except Exception as error:  # a part that breaks must not hide the others
        log.exception("The examination of %s failed", name)
        said = f"It could not be checked: {_short(error)}."
        return [fail(name, said, "This is a bug in the portal; see its log for details.")]


def worst(findings: list[Finding]) -> Level:
    return next((level for level in ORDER if any(f.level is level for f in findings)), Level.OK)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
