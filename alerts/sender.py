"""Sends one message through Apprise, within bounds of our own, and returns what was seen.

Apprise answers yes or no. What the provider answered is seen by standing between a plugin and the
`requests` it imports: HTTP status, Retry-After and words. Mail and other protocols speak through
Apprise's log. Nothing of either is logged: both may hold the secrets of the URL.
"""

import importlib
import logging
import sys
import time
import traceback
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import requests
import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from alerts.attempts import Attempt
from alerts.listening import Ear, Requests, ThrottledError, heard
from alerts.opsgenie import opsgenie_plugin
from portal.core import sanitize
from portal.core.outbound import guarded
from portal.core.sockets import ForbiddenAddressError, is_forbidden

log = logging.getLogger(__name__)
WORDS_LENGTH = 300
CONNECT_SECONDS = 5.0
# They act on the machine the worker runs on, or need its desktop.
LOCAL_ONLY = frozenset(
    {"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"}
)


class ChannelUrlError(ValueError):
    """An Apprise URL cannot be used; the message says why, without the URL."""


@cache
def _apprise() -> Any:
    """Import Apprise when it is first needed: it costs half a second and 26 MB in each process."""
    library = importlib.import_module("apprise")
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)  # the reason of a failed mail is only said at this level
    logger.propagate = False
    logger.addHandler(Ear())
    ignore_logger("apprise")
    return library


@cache
def _asset() -> Any:
    return _apprise().AppriseAsset(
        async_mode=False,
        http_redirects=False,
        app_id="DevOps Portal",
        app_desc="DevOps Portal",
        app_url="",
    )


def load(url: str) -> Any:
    """Return Apprise's plugin for a URL. Raises ChannelUrlError with a sentence."""
    scheme = url.partition("://")[0].lower()
    if "://" not in url:
        raise ChannelUrlError(
            "That is no Apprise URL: write service://…, for example mailto://user:password@example.org."
        )
    if scheme in LOCAL_ONLY:
        raise ChannelUrlError(
            f"{scheme}:// speaks to the desktop or log of the one machine a worker happens to run on."
        )
    library = _apprise()
    heard.lines = []
    try:
        plugin = library.Apprise.instantiate(url, asset=_asset())
    finally:
        said, heard.lines = heard.lines, None
    if plugin is None:
        raise ChannelUrlError(_objection(scheme, said))
    _refuse_forbidden_host(url, plugin)
    _refuse_template_file(plugin)
    return _bounded(opsgenie_plugin(plugin))


def _objection(scheme: str, said: list[str]) -> str:
    known = scheme in _apprise().manager_plugins.NotificationManager()
    if not known:
        return f"Apprise knows no service {scheme[:30]!r}. Its list is at https://appriseit.com/services/."
    return (
        f"Apprise knows {scheme}:// but cannot use this URL: a part is missing or malformed. The form is"
        f" described at https://appriseit.com/services/{scheme}/."
    )


def _refuse_forbidden_host(url: str, plugin: Any) -> None:
    hosts = {str(getattr(plugin, name, "") or "") for name in ("host", "smtp_host")}
    try:
        hosts.add(urlsplit(url).hostname or "")
    except ValueError:
        hosts.add("")
    if any(is_forbidden(host) for host in hosts):
        raise ChannelUrlError("The host is an address of a cloud metadata service, which is never asked.")  # fmt: skip


def _refuse_template_file(plugin: Any) -> None:
    """Slack, Discord and others would send what a file of the worker's machine holds."""
    template = getattr(plugin, "template", None)  # elsewhere a number that the service knows
    if isinstance(template, _apprise().AppriseAttachment) and len(template):
        raise ChannelUrlError("Leave template out of the URL: it names a file of the one machine a worker happens to"
                              " run on.")  # fmt: skip


def _bounded(plugin: Any) -> Any:
    """Take from a plugin what would wait or wander on its own."""
    plugin.request_rate_per_sec = 0
    plugin.redirects = False
    plugin.overflow_mode = _apprise().OverflowMode.TRUNCATE  # one message stays one message
    module = sys.modules[type(plugin).__module__]
    for owner in {module, *(sys.modules[c.__module__] for c in type(plugin).__mro__[:-1])}:
        if getattr(owner, "requests", None) is requests and owner.__name__.startswith("apprise.plugins"):  # fmt: skip
            owner.requests = Requests()  # type: ignore[attr-defined]
    return plugin


def describe(url: str) -> tuple[str, str]:
    """Return the service's name and the URL with its secrets masked. Raises ChannelUrlError."""
    plugin = load(url)
    masked = str(plugin.url(privacy=True)).partition("?")[0]
    return sanitize.line(str(plugin.service_name), 60), sanitize.line(masked, 500)


def send(
    url: str, *, title: str, body: str, firing: bool, key: str = "", timeout_seconds: float = 10.0
) -> Attempt:
    """Deliver one message and return what was seen; never raises for what the other side does.

    `key` is the same for the messages about one group: services that close what they opened need it.
    """
    try:
        plugin = load(url)
    except ChannelUrlError as error:
        return Attempt(False, words=str(error), refused=True)
    plugin.portal_key = key
    plugin.socket_connect_timeout = min(CONNECT_SECONDS, timeout_seconds)
    plugin.socket_read_timeout = timeout_seconds
    began = time.monotonic()
    heard.reply, heard.lines = None, []
    delivered, error_words, refused = False, "", False
    # Breadcrumbs of an error report would hold the address, which is the secret.
    with sentry_sdk.isolation_scope(), _untraced(), guarded(timeout_seconds) as guard:
        try:
            delivered = bool(_notify(plugin, title, body, firing))
        except (ThrottledError, ForbiddenAddressError, TimeoutError):
            pass
        except Exception as error:
            # A plugin is foreign code and may raise anything; the words of an error may hold the URL.
            error_words = f"{type(error).__name__} in the Apprise plugin."
            log.error("Apprise's plugin failed with %s at %s.", type(error).__name__, _place(error))
        refused = bool(guard.refused)
        timed_out = guard.expired
    reply, lines = heard.reply, heard.lines
    heard.reply = heard.lines = None
    words = _words(reply, lines, secrets_of(url)) or error_words
    if refused:
        words = "the host leads to an address of a cloud metadata service, which is never asked."
    return Attempt(
        delivered=delivered and not timed_out,
        status=reply.status_code if reply is not None else None,
        words=words,
        retry_after=reply.headers.get("Retry-After", "") if reply is not None else "",
        timed_out=timed_out or (any("timed out" in line for line in lines) and reply is None),
        refused=refused,
        seconds=time.monotonic() - began,
    )


def _place(error: BaseException) -> str:
    """Return file and line where an error was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.rpartition('/')[2]}:{last.lineno}"


def _untraced() -> AbstractContextManager[Any]:
    """Keep the address out of traces, where OpenTelemetry is loaded; it is looked up, never imported."""
    instrumentation: Any = sys.modules.get("opentelemetry.instrumentation.utils")
    return instrumentation.suppress_http_instrumentation() if instrumentation else nullcontext()


def _notify(plugin: Any, title: str, body: str, firing: bool) -> Any:
    library = _apprise()
    kind = library.NotifyType.FAILURE if firing else library.NotifyType.SUCCESS
    return plugin.notify(
        title=title, body=body, notify_type=kind, body_format=library.NotifyFormat.TEXT
    )


def secrets_of(url: str) -> list[str]:
    """Return the parts of a URL that must not be repeated, longest first."""
    rest = url.partition("://")[2]
    parts = {part for part in rest.replace("@", "/").replace(":", "/").replace("?", "/")
             .replace("&", "/").replace("=", "/").split("/") if len(part) >= 6}  # fmt: skip
    return sorted(parts, key=len, reverse=True)


def _words(reply: requests.Response | None, lines: list[str], secrets: list[str]) -> str:
    """Return the provider's own words, shortened, harmless, and without parts of the URL."""
    if reply is not None:
        html = "html" in reply.headers.get("Content-Type", "")
        said = "" if html else reply.content[:2000].decode("utf-8", "replace")
    else:
        said = " ".join(
            line.partition(": ")[2] for line in lines if line.startswith(("Socket Exc", "I/O Exc"))
        )
    for secret in secrets:
        said = said.replace(secret, "…")
    return sanitize.line(said, WORDS_LENGTH)
