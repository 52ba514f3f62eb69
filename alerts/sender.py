"""Sends one message through Apprise, within time and address bounds, and returns how it went.

Apprise only returns true or false. HTTP status, Retry-After and error text of the provider are captured
by a stand-in for the `requests` module that a plugin imports; errors of mail and other protocols are
taken from Apprise's log (alerts.apprise_capture). Neither is logged: both may hold secrets of the URL.
"""

import importlib
import logging
import re
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

from alerts.apprise_capture import CapturingRequests, LogCapture, RateLimitedError, captured
from alerts.attempts import Attempt
from alerts.opsgenie import opsgenie_plugin
from portal.core import sanitize
from portal.core.outbound import guarded
from portal.core.sockets import ForbiddenAddressError, is_forbidden

log = logging.getLogger(__name__)
PROVIDER_TEXT_LIMIT = 300
SECRET_LENGTH = 6  # shorter parts of a URL, such as a port, are no secrets
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
    logger.setLevel(logging.DEBUG)  # the reason of a failed mail is only logged at this level
    logger.propagate = False
    logger.addHandler(LogCapture())
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
            "This is not an Apprise URL. Write service://…, for example mailto://user:password@example.org."
        )
    if scheme in LOCAL_ONLY:
        raise ChannelUrlError(
            f"{scheme}:// writes to the desktop or log of the machine that a worker happens to run on."
            " Use another service."
        )
    library = _apprise()
    captured.lines = []
    try:
        plugin = library.Apprise.instantiate(url, asset=_asset())
    finally:
        messages, captured.lines = captured.lines, None
    if plugin is None:
        raise ChannelUrlError(_url_error(scheme, messages))
    _refuse_forbidden_host(url, plugin)
    _refuse_template_file(plugin)
    return _restricted(opsgenie_plugin(plugin))


def _url_error(scheme: str, messages: list[str]) -> str:
    known = scheme in _apprise().manager_plugins.NotificationManager()
    if not known:
        return f"Apprise does not support the service {scheme[:30]!r}. See https://appriseit.com/services/."
    return (
        f"Apprise supports {scheme}:// but cannot use this URL: a part is missing or malformed. The format is"
        f" described at https://appriseit.com/services/{scheme}/."
    )


def _refuse_forbidden_host(url: str, plugin: Any) -> None:
    hosts = {str(getattr(plugin, name, "") or "") for name in ("host", "smtp_host")}
    try:
        hosts.add(urlsplit(url).hostname or "")
    except ValueError:
        hosts.add("")
    if any(is_forbidden(host) for host in hosts):
        raise ChannelUrlError("The host is an address of a cloud metadata service, to which the portal never"
                              " connects. Use another host.")  # fmt: skip


def _refuse_template_file(plugin: Any) -> None:
    """Refuse `template=`: Slack, Discord and others would send the content of a file on the worker's machine."""
    template = getattr(plugin, "template", None)  # for other services it is the id of a template
    if isinstance(template, _apprise().AppriseAttachment) and len(template):
        raise ChannelUrlError("Remove the parameter template from the URL: it names a file on the machine that a worker"
                              " happens to run on.")  # fmt: skip


def _restricted(plugin: Any) -> Any:
    """Disable a plugin's own waiting, redirects and message splitting, and capture its responses."""
    plugin.request_rate_per_sec = 0
    plugin.redirects = False
    plugin.overflow_mode = _apprise().OverflowMode.TRUNCATE  # one message stays one message
    module = sys.modules[type(plugin).__module__]
    for owner in {module, *(sys.modules[c.__module__] for c in type(plugin).__mro__[:-1])}:
        is_plugin = owner.__name__.startswith("apprise.plugins")
        if is_plugin and getattr(owner, "requests", None) is requests:
            owner.requests = CapturingRequests()  # type: ignore[attr-defined]
    return plugin


def describe(url: str) -> tuple[str, str]:
    """Return the service's name and the URL with its secrets masked. Raises ChannelUrlError."""
    plugin = load(url)
    masked = str(plugin.url(privacy=True)).partition("?")[0]
    return sanitize.line(str(plugin.service_name), 60), sanitize.line(masked, 500)


def send(
    url: str, *, title: str, body: str, firing: bool, key: str = "", timeout_seconds: float = 10.0
) -> Attempt:
    """Deliver one message and return how it went; never raises for what the provider does.

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
    captured.reply, captured.lines = None, []
    delivered, error_words, refused = False, "", False
    # Breadcrumbs of an error report would hold the URL, which is a secret.
    with sentry_sdk.isolation_scope(), _untraced(), guarded(timeout_seconds) as guard:
        try:
            delivered = bool(_notify(plugin, title, body, firing))
        except (RateLimitedError, ForbiddenAddressError, TimeoutError):
            pass
        except Exception as error:
            # A plugin is third-party code and may raise anything; the text of the error may hold the URL.
            error_words = f"{type(error).__name__} in the Apprise plugin."
            log.error(
                "Apprise's plugin failed with %s at %s.", type(error).__name__, _location(error)
            )
        refused = bool(guard.refused)
        timed_out = guard.expired
    reply, lines = captured.reply, captured.lines
    captured.reply = captured.lines = None
    words = _provider_text(reply, lines, secrets_of(url)) or error_words
    if refused:
        words = "the host resolves to an address of a cloud metadata service, to which the portal never connects."
    return Attempt(
        delivered=delivered and not timed_out,
        status=reply.status_code if reply is not None else None,
        words=words,
        retry_after=reply.headers.get("Retry-After", "") if reply is not None else "",
        timed_out=timed_out or (any("timed out" in line for line in lines) and reply is None),
        refused=refused,
        seconds=time.monotonic() - began,
    )


def _location(error: BaseException) -> str:
    """Return file and line where an error was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.rpartition('/')[2]}:{last.lineno}"


def _untraced() -> AbstractContextManager[Any]:
    """Keep the URL out of OpenTelemetry's traces, when it is loaded; it is never imported here."""
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
    parts = {part for part in re.split("[/@:?&=]", rest) if len(part) >= SECRET_LENGTH}
    return sorted(parts, key=len, reverse=True)


def _provider_text(reply: requests.Response | None, lines: list[str], secrets: list[str]) -> str:
    """Return the provider's error text: shortened, sanitised, and without secrets of the URL."""
    if reply is not None:
        html = "html" in reply.headers.get("Content-Type", "")
        messages = "" if html else reply.content[:2000].decode("utf-8", "replace")
    else:
        messages = " ".join(
            line.partition(": ")[2] for line in lines if line.startswith(("Socket Exc", "I/O Exc"))
        )
    for secret in secrets:
        messages = messages.replace(secret, "…")
    return sanitize.line(messages, PROVIDER_TEXT_LIMIT)
