"""Explains what can go wrong with an upstream, in sentences that say what to do."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

import requests


class Fault(StrEnum):
    """Why a request failed."""

    REFUSED = "refused"
    NAME = "name"
    TIMEOUT = "timeout"
    TLS = "tls"
    BROKEN = "broken"
    REDIRECT = "redirect"
    FORBIDDEN_ADDRESS = "forbidden_address"
    TOO_LARGE = "too_large"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    SERVER_ERROR = "server_error"
    RATE_LIMITED = "rate_limited"
    NOT_JSON = "not_json"
    MALFORMED = "malformed"


RETRYABLE = frozenset(
    {
        Fault.REFUSED,
        Fault.NAME,
        Fault.TIMEOUT,
        Fault.BROKEN,
        Fault.SERVER_ERROR,
        Fault.RATE_LIMITED,
    }
)


class UpstreamError(Exception):
    """A request to an upstream failed. `str()` is a sentence; `retryable` says whether a retry may succeed.

    `retry_at` is when the server accepts requests again, None when it did not say.
    """

    def __init__(
        self,
        fault: Fault,
        sentence: str,
        *,
        status: int | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        super().__init__(sentence)
        self.fault = fault
        self.status = status
        self.retry_at = retry_at

    @property
    def retryable(self) -> bool:
        return self.fault in RETRYABLE


def explain(error: Exception, url: str, timeout_seconds: float) -> tuple[Fault, str]:
    """Return the fault and a sentence for an exception of the HTTP stack."""
    host = urlsplit(url).netloc
    chain = "".join(f"{type(e).__name__}: {e} " for e in _causes(error))
    if "CA certificate bundle" in chain:
        path = chain.rpartition("invalid path: ")[2].strip()
        return Fault.TLS, (
            f"The file {path} of the option ca_file does not exist on the portal's machine. Correct the option,"
            " or put the PEM file of the CA there."
        )
    if "certificate" in chain or isinstance(error, requests.exceptions.SSLError):
        return Fault.TLS, _tls_sentence(chain, host)
    if "NameResolution" in chain or "gaierror" in chain:
        return (
            Fault.NAME,
            f"The name {urlsplit(url).hostname} cannot be resolved. Check the URL and the DNS.",
        )
    if "ConnectionRefused" in chain:
        return (
            Fault.REFUSED,
            f"Nothing is listening at {host}: connection refused. Start the server, or correct the URL.",
        )
    if "timed out" in chain.lower() or "Timeout" in chain:
        return Fault.TIMEOUT, (
            f"{host} did not answer within {timeout_seconds:g} seconds. If it is only slow, raise the option"
            " timeout_seconds of the upstream."
        )
    if "decode" in chain.lower():
        return Fault.BROKEN, f"{host} sent a compressed body that cannot be decompressed."
    return (
        Fault.BROKEN,
        f"The connection to {host} was closed before the answer was complete. The server may be restarting.",
    )


def _tls_sentence(chain: str, host: str) -> str:
    if "expired" in chain:
        return f"The TLS certificate of {host} has expired. Renew it on that server."
    if "Hostname mismatch" in chain or "doesn't match" in chain or "IP address mismatch" in chain:
        return f"The TLS certificate of {host} is for another host name. Use the name it was issued for."
    if "self-signed" in chain or "self signed" in chain or "unable to get local issuer" in chain:
        return (
            f"The TLS certificate of {host} is signed by an unknown CA."
            " Set the option ca_file to the CA's PEM file."
        )
    if "WRONG_VERSION" in chain or "wrong version number" in chain:
        return f"{host} does not speak TLS. Use http:// instead of https://."
    return (
        f"No TLS connection to {host} could be established. Check the certificate of that server."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[BaseException] = [error]
    while pending:
        cause = pending.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        linked = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        pending.extend(c for c in linked if isinstance(c, BaseException))
