"""Reads environment variables, from `NAME` or `NAME_FILE`, into typed values.

An invalid value never raises: it is recorded in `problems`, the default is used, and the
system check portal.E001 prints the sentence and the hint.
"""

import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

Network = IPv4Network | IPv6Network
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """An invalid environment variable: what is wrong, and what to do about it."""

    variable: str
    message: str
    hint: str


problems: list[Problem] = []


def _note(variable: str, message: str, hint: str) -> None:
    problems.append(Problem(variable, message, hint))


def raw(name: str) -> str | None:
    """Return the value of `name`, or the stripped content of the file that `NAME_FILE` names."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            _note(
                f"{name}_FILE",
                f"{path} cannot be read: {error}",
                "Use the path of a readable text file.",
            )
            return None
    value = os.environ.get(name)
    return value if value else None


def text(name: str, default: str = "") -> str:
    value = raw(name)
    return default if value is None else value


def _parsed(name: str, default: T, parse: Callable[[str], T], hint: str) -> T:
    value = raw(name)
    if value is None:
        return default
    try:
        return parse(value.strip())
    except (ValueError, KeyError):
        _note(name, f"{name} has an invalid value.", hint)
        return default


def boolean(name: str, default: bool) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    return _parsed(name, default, lambda v: words[v.lower()], "Use true or false.")


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    def parse(value: str) -> int:
        number = int(value)
        if not minimum <= number <= maximum:
            raise ValueError
        return number

    return _parsed(name, default, parse, f"Use a whole number from {minimum} to {maximum}.")


def web_processes() -> int:
    return integer("WEB_CONCURRENCY", 2, minimum=1, maximum=64)


def words(name: str, default: str = "") -> list[str]:
    """Return the items of a comma-separated list, without empty ones."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def label_names(name: str, default: str) -> list[str]:
    """Return comma-separated names of Prometheus labels; an invalid one is recorded and left out."""
    found = words(name, default)
    for word in found:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", word):
            _note(name, f"{word!r} is not a label name.", "Use letters, digits and _.")
    return [word for word in found if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", word)]


def networks(name: str, default: str = "") -> list[Network]:
    """Return comma-separated CIDR networks; an invalid one is recorded and left out."""
    found: list[Network] = []
    for word in words(name, default):
        try:
            found.append(ip_network(word, strict=False))
        except ValueError:
            _note(name, f"{word!r} is not a network.", "Use CIDR notation, for example 10.0.0.0/8.")
    return found


def url(name: str, schemes: tuple[str, ...], default: str = "") -> str:
    """Return an absolute URL without a trailing slash."""

    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not (parts.netloc or parts.path):
            raise ValueError
        _ = parts.port  # raises on a port that is not a number
        return value.rstrip("/")

    return _parsed(name, default, parse, f"Use a URL that starts with {' or '.join(schemes)}://")


def server(name: str, schemes: tuple[str, ...]) -> str:
    """Return `scheme://host:port`, of which all three parts are required; empty when not set."""

    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname or not parts.port:
            raise ValueError
        return value.rstrip("/")

    return _parsed(name, "", parse, f"Use {' or '.join(f'{s}://host:port' for s in schemes)}.")


def slug(name: str) -> str:
    """Return a word that is safe as part of a path; empty when not set."""

    def parse(value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", value):
            raise ValueError
        return value

    return _parsed(name, "", parse, "Use the slug of the address: letters, digits, - and _.")


def dsn(name: str) -> str:
    """Return a Sentry DSN; empty when not set."""

    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username:
            raise ValueError
        _ = parts.port, int(parts.path.rpartition("/")[2])  # both raise if not a number
        return value

    return _parsed(name, "", parse, "Use https://key@host/project-number.")


def choice(name: str, choices: tuple[str, ...]) -> str:
    """Return one of `choices`; the first is the default."""

    def parse(value: str) -> str:
        return choices[choices.index(value.lower())]

    return _parsed(name, choices[0], parse, f"Use {' or '.join(choices)}.")


def _is_server(word: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(word)
        is_whole = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        return is_whole and not (parts.query or parts.fragment)
    except ValueError:  # an unclosed bracket, or a port that is not a number
        return False


def urls(name: str, schemes: tuple[str, ...] = ("http", "https")) -> list[str]:
    """Return a comma-separated list of absolute URLs; an invalid one is recorded and left out."""
    found = []
    for word in words(name):
        if _is_server(word, schemes):
            found.append(word.rstrip("/"))
        else:
            _note(
                name,
                f"{name} contains an item that is not a URL.",
                "Use http://host:port, comma-separated.",
            )
    return found


def service_urls(name: str) -> list[str]:
    """Return URLs of any scheme, which may hold secrets; they are separated by a comma or blank before a scheme.

    A comma inside a URL, as in a list of recipients, does not end it.
    """
    found = [part.strip(" ,") for part in re.split(r"[\s,]+(?=[a-z0-9+]+://)", text(name).strip())]
    if any(part and "://" not in part for part in found):
        hint = "Use Apprise URLs, comma-separated, for example discord://id/token."
        _note(name, f"{name} contains an item that is not a URL.", hint)
    return [part for part in found if "://" in part]


def secret(name: str, generated: Path) -> str:
    """Return a secret from the environment, or one generated once and stored in `generated` (mode 0600)."""
    value = raw(name)
    if value:
        return value
    try:
        return keep_secret(generated, lambda: secrets.token_urlsafe(50))
    except OSError as error:
        _note(
            name, f"{name} is not set, and {generated} cannot be written: {error}.", f"Set {name}."
        )
        return secrets.token_urlsafe(50)


def keep_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the content of `path`; if absent, create it with `make()`, safely against a race."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
        try:
            os.link(draft, path)  # fails if another process was first, whose secret then counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def database(name: str) -> dict[str, Any]:
    """Return a Django database entry from `postgresql://user:password@host:port/name?option=…`.

    A socket directory is written as a quoted host (`%2Fvar%2Frun%2Fpostgresql`) or as `?host=`.
    """

    def parse(value: str) -> dict[str, Any]:
        parts = urlsplit(value)
        if parts.scheme not in ("postgres", "postgresql") or len(parts.path) < 2:
            raise ValueError
        options = dict(parse_qsl(parts.query))
        host = options.pop("host", unquote(parts.hostname or ""))
        if host.startswith("%2f") or "%2F" in parts.netloc or "%2f" in parts.netloc:
            host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
        return {
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": host,
            "PORT": str(parts.port or ""),
            "OPTIONS": options,
        }

    return _parsed(name, {}, parse, "Use postgresql://user:password@host:5432/name.")


def celery_broker(redis_url: str) -> str:
    """Return a Redis URL in Celery's notation, in which a socket is `redis+socket://`."""
    if not redis_url.startswith("unix://"):
        return redis_url
    parts = urlsplit(redis_url)
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    number = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{login}{parts.path}?virtual_host={number}"
