"""Sends every outgoing HTTP request of the portal, bounded in time and size.

Every failure is an UpstreamError whose text is a full sentence for the upstream's page, with what to do.
"""

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from prometheus_client import Histogram
from requests.auth import HTTPBasicAuth

from portal.core import ca_bundle
from portal.core.retry import retry_at
from portal.core.sockets import ForbiddenAddressError, GuardedAdapter, deadline
from portal.core.upstream_errors import Fault, UpstreamError, explain

__all__ = [
    "Client",
    "Fault",
    "Reply",
    "Target",
    "UpstreamError",
    "not_json",
    "refuse_errors",
    "words_of",
]

CHUNK_BYTES = 256 * 1024
CONNECT_SECONDS = 5.0
MAX_REDIRECTS = 3
USER_AGENT = "devops-portal/1.0"

REQUEST_SECONDS = Histogram(
    "portal_upstream_request_seconds",
    "Duration of HTTP requests to upstreams, including the body.",
    ["upstream", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply. `skew_seconds` is the server's clock minus ours, None without a Date header."""

    url: str
    status: int
    body: bytes
    seconds: float
    server_time: datetime | None
    skew_seconds: float | None
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def json(self) -> Any:
        """Return the decoded body. Raises UpstreamError when it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise not_json(self) from error


def not_json(reply: Reply) -> UpstreamError:
    looks = reply.body.lstrip()[:15].lower()
    if looks.startswith((b"<!doctype", b"<html", b"<head")):
        return UpstreamError(
            Fault.NOT_JSON,
            f"{reply.url} answered with an HTML page instead of JSON. The URL of the upstream probably lacks a path"
            " prefix, or there is a login page in front of it.",
        )
    return UpstreamError(
        Fault.NOT_JSON,
        f"{reply.url} answered with something that is not JSON. Check that the URL belongs to this kind of server.",
    )


@dataclass(frozen=True)
class Target:
    """How to reach one server: its URL, credentials and limits."""

    name: str
    base_url: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 30.0
    max_body_bytes: int = 32 * 1024 * 1024
    encoding: str = "identity"  # gzip measured 8 times slower on a local link
    verify_tls: bool = True
    ca_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    truncate: bool = False  # keep the start of a body that is too large, instead of raising

    @property
    def verify(self) -> bool | str:
        return (self.ca_file or ca_bundle.system_bundle()) if self.verify_tls else False


class Client:
    """A session with one server: it reuses connections, and leaves retries to the caller."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy from the environment would see the credentials
        adapter = GuardedAdapter(pool_connections=1, pool_maxsize=2, max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": target.encoding})
        self._session.headers.update(target.headers)
        if token := target.credentials.get("token"):
            self._session.headers["Authorization"] = f"Bearer {token}"
        elif user := target.credentials.get("username"):
            self._session.auth = HTTPBasicAuth(
                user.encode(), target.credentials.get("password", "").encode()
            )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._session.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Reply:
        return self._send("GET", path, params=params)

    def post(self, path: str, body: Any, *, any_status: bool = False) -> Reply:
        return self._send("POST", path, json=body, any_status=any_status)

    def post_form(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Send a form; Prometheus accepts queries this way that are too long for a URL."""
        return self._send("POST", path, data=body)

    def post_bytes(self, path: str, body: bytes, *, content_type: str) -> Reply:
        """Send `body` unchanged, and return the reply whatever its status."""
        headers = {"Content-Type": content_type}
        return self._send("POST", path, any_status=True, data=body, headers=headers)

    def put(self, path: str, body: Any) -> Reply:
        return self._send("PUT", path, json=body)

    def delete(self, path: str) -> Reply:
        return self._send("DELETE", path)

    def ask(self, method: str, *, follow: bool = True) -> Reply:
        """Return the reply of the base URL whatever its status; for probes."""
        return self._send(method, "", any_status=True, follow=follow)

    def _send(
        self, method: str, path: str, *, any_status: bool = False, follow: bool = True, **body: Any
    ) -> Reply:
        started = time.monotonic()
        outcome = "success"
        url = self.target.base_url + path
        try:
            if follow:
                reply = self._follow(method, url, started, body)
            else:
                reply, _location = self._exchange(method, url, started, body)
            if not any_status:
                refuse_errors(reply)
        except UpstreamError as error:
            outcome = error.fault.value
            raise
        finally:
            REQUEST_SECONDS.labels(self.target.name, outcome).observe(time.monotonic() - started)
        return reply

    def _follow(self, method: str, url: str, started: float, body: dict[str, Any]) -> Reply:
        """Send the request, and follow redirects only within the same host and port."""
        for _ in range(MAX_REDIRECTS + 1):
            reply, location = self._exchange(method, url, started, body)
            if location is None:
                return reply
            following = urljoin(url, location)
            if elsewhere := _elsewhere(url, following):
                raise UpstreamError(
                    Fault.REDIRECT,
                    f"{url} redirects to {elsewhere}, which is not"
                    " followed, because the credentials would be sent there. Enter the final URL.",
                )
            url = following
            body = {key: value for key, value in body.items() if key != "params"}
        raise UpstreamError(
            Fault.REDIRECT, f"{url} redirects more than {MAX_REDIRECTS} times. Enter the final URL."
        )

    def _exchange(
        self, method: str, url: str, started: float, body: dict[str, Any]
    ) -> tuple[Reply, str | None]:
        left = self.target.timeout_seconds - (time.monotonic() - started)
        sent_at = time.time()
        with _explained(url, self.target), deadline(max(left, 0.1)):
            response = self._session.request(
                method,
                url,
                timeout=(min(CONNECT_SECONDS, left), left),
                stream=True,
                allow_redirects=False,
                verify=self.target.verify,
                **body,
            )
            with response:
                content = _read(response, url, self.target)
        received_at = time.time()
        server_time = _date(response.headers.get("Date"))
        skew = server_time.timestamp() + 0.5 - (sent_at + received_at) / 2 if server_time else None
        reply = Reply(
            url=url,
            status=response.status_code,
            body=content,
            seconds=received_at - sent_at,
            server_time=server_time,
            # Date has whole seconds, and grows older during a long download: a difference within both is not skew.
            skew_seconds=None
            if skew is None
            else (0.0 if abs(skew) <= 1 + (received_at - sent_at) else round(skew, 1)),
            content_type=response.headers.get("Content-Type", ""),
            headers=response.headers,
        )
        location = response.headers.get("Location") if response.is_redirect else None
        return reply, location


def _elsewhere(url: str, following: str) -> str:
    """Return the target of a redirect that must not be followed; empty if it stays on this server."""
    here, there = urlsplit(url), urlsplit(following)
    if there.netloc != here.netloc:
        return f"another host ({there.netloc[:200]})"
    if here.scheme == "https" and there.scheme != "https":
        return "an unencrypted address"
    return ""


def _date(header: str | None) -> datetime | None:
    """Return the server's clock, or None for an implausible date, which would distort the skew."""
    try:
        read = parsedate_to_datetime(header) if header else None
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if read is not None and read.tzinfo is None:  # "-0000" means UTC with an unknown local zone
        read = read.replace(tzinfo=UTC)
    return read if read is not None and 2000 <= read.year < 2200 else None


def _read(response: requests.Response, url: str, target: Target) -> bytes:
    """Return the decoded body; stop as soon as it exceeds the limit, compressed or not."""
    limit = target.max_body_bytes
    length = response.headers.get("Content-Length", "")
    too_large = UpstreamError(
        Fault.TOO_LARGE,
        f"{url} answered with more than {limit // (1024 * 1024)} MB. Raise the option max_body_mb of the upstream"
        " if that is expected; otherwise the server is sending something it should not.",
    )
    announced = int(length[:18]) if length.isascii() and length.isdigit() else 0
    if announced > limit and not target.truncate:
        raise too_large
    parts, size = [], 0
    while chunk := response.raw.read(CHUNK_BYTES, decode_content=True):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            if target.truncate:
                break
            raise too_large
    return b"".join(parts)


def refuse_errors(reply: Reply, said: str | None = None) -> None:
    """Raise UpstreamError unless the status is a success; `said` is the server's message as a clause."""
    status = reply.status
    if status < 300:
        return
    said = words_of(reply) if said is None else said
    if status == 401:
        raise UpstreamError(
            Fault.UNAUTHORISED,
            f"{reply.url} rejected the credentials (HTTP 401{said}). "
            "Set a valid user or token on the upstream.",
            status=status,
        )
    if status == 403:
        raise UpstreamError(
            Fault.UNAUTHORISED,
            f"{reply.url} rejected the credentials for this request (HTTP 403{said}). Give the user or token of the"
            " upstream the missing permission or scope, or set another one.",
            status=status,
        )
    if status == 404:
        raise UpstreamError(
            Fault.NOT_FOUND,
            f"{reply.url} does not exist (HTTP 404{said}). Check the URL and its path prefix.",
            status=status,
        )
    if status == 429:
        raise _rate_limited(reply, said)
    if status >= 500:
        raise UpstreamError(
            Fault.SERVER_ERROR,
            f"{reply.url} failed with HTTP {status}{said}. See the log of that server.",
            status=status,
        )
    raise UpstreamError(
        Fault.REJECTED, f"{reply.url} rejected the request (HTTP {status}{said}).", status=status
    )


def _rate_limited(reply: Reply, said: str) -> UpstreamError:
    until = retry_at(reply.headers, now=datetime.now(UTC), skew_seconds=reply.skew_seconds or 0)
    when = f"until {until:%H:%M:%S} UTC" if until else "for now"
    then = "waits until then" if until else "tries again at the next poll"
    return UpstreamError(
        Fault.RATE_LIMITED,
        f"{reply.url} accepts no more requests {when} (HTTP 429{said}). The portal {then};"
        " if this happens often, raise the poll interval of the upstream.",
        status=429,
        retry_at=until,
    )


def words_of(reply: Reply) -> str:
    """Return the server's error message, shortened and sanitised, as a clause for a sentence."""
    if "html" in reply.content_type:
        return ""
    words = reply.body[:2000].decode("utf-8", "replace")
    try:
        decoded = json.loads(reply.body[:100_000])
    except (ValueError, RecursionError):
        decoded = None
    if isinstance(decoded, dict):
        words = str(
            decoded.get("error") or decoded.get("message") or decoded.get("detail") or words
        )
    elif isinstance(decoded, str):
        words = decoded
    words = "".join(c if c.isprintable() else " " for c in words).strip()[:300]
    return f": {words}" if words else ""


@contextmanager
def _explained(url: str, target: Target) -> Iterator[None]:
    """Convert any exception of the HTTP stack into an UpstreamError."""
    began = time.monotonic()
    try:
        yield
    except ForbiddenAddressError as error:
        raise UpstreamError(
            Fault.FORBIDDEN_ADDRESS,
            f"{urlsplit(url).netloc} resolves to {error}, an address of a cloud metadata service,"
            " to which the portal never connects. Correct the URL.",
        ) from error
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ssl.SSLError,
        ValueError,
    ) as error:
        if time.monotonic() - began >= target.timeout_seconds - 0.2:
            failure: Exception = requests.Timeout("timed out")
        else:
            failure = error
        fault, sentence = explain(failure, url, target.timeout_seconds)
        raise UpstreamError(fault, sentence) from error
