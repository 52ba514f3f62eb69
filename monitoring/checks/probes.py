"""Runs the probe of one check. Must not use the database, because it runs in threads."""

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from monitoring.checks.flips import DEGRADED, DOWN, UNKNOWN, UP, ProbeResult
from monitoring.checks.samples import SampleError, failing, samples
from monitoring.checks.targets import address_of, statuses_of
from monitoring.models import Check, CheckKind
from monitoring.prometheus import Prometheus
from portal.core import sockets
from portal.core.http import Client, Reply, Target
from portal.core.matchers import build
from portal.core.models import Upstream
from portal.core.sockets import ForbiddenAddressError
from portal.core.upstream_errors import Fault, UpstreamError, explain

MAX_BODY_BYTES = 1024 * 1024
NO_PROMETHEUS = "No Prometheus is connected. Add one under Upstreams."


def probe(check: Check, prometheus: Upstream | None) -> ProbeResult:
    """Run the probe and return its result; never raises, whatever the target does."""
    began = time.monotonic()
    try:
        answer = _PROBES[check.kind](check, prometheus)
    except UpstreamError as error:
        return _failed(check, error)
    taken = time.monotonic() - began
    if answer.latency_seconds is None and answer.status != UNKNOWN:
        answer = replace(answer, latency_seconds=taken)
    slow = check.degraded_after_seconds
    if answer.status == UP and slow is not None and taken > slow:
        said = f"It answered after {taken:.2f} s; more than {slow:g} s is slow."
        return replace(answer, status=DEGRADED, sentence=said)
    return answer


def _failed(check: Check, error: UpstreamError) -> ProbeResult:
    """Return the result for a failed request; it is unknown if we were not allowed or able to send it."""
    said = str(error)
    if error.fault == Fault.TIMEOUT:
        said = f"It did not answer within {check.timeout_seconds:g} seconds."
    if error.fault == Fault.TLS and "ca_file" in said:
        said = (
            said.partition(" Set the option")[0] + " Trust the CA on the portal's machine, or turn"
        )
        said += " off Verify TLS."
    blameless = error.fault == Fault.FORBIDDEN_ADDRESS or check.kind == CheckKind.PROMQL
    return ProbeResult(UNKNOWN if blameless else DOWN, said)


def _http(check: Check, _prometheus: Upstream | None) -> ProbeResult:
    target = Target(
        name="check",
        base_url=check.target,
        timeout_seconds=check.timeout_seconds,
        max_body_bytes=MAX_BODY_BYTES,
        verify_tls=check.verify_tls,
        headers=check.headers or {},
        truncate=True,
    )
    with Client(target) as client:
        reply = client.ask(check.method, follow=check.follow_redirects)
    if not any(low <= reply.status <= high for low, high in statuses_of(check.expected_status)):
        said = f"It answered with HTTP {reply.status}; expected: {check.expected_status}."
        return ProbeResult(DOWN, said, reply.seconds)
    if check.body_pattern and not _contains(reply, check.body_pattern):
        said = f"It answered with HTTP {reply.status}, but the body does not contain {check.body_pattern!r}."
        return ProbeResult(DOWN, said, reply.seconds)
    return ProbeResult(UP, f"HTTP {reply.status} in {reply.seconds * 1000:.0f} ms.", reply.seconds)


def _contains(reply: Reply, pattern: str) -> bool:
    text = reply.body.decode("utf-8", "replace")
    return build("body", "=~", f"(?s).*(?:{pattern}).*").matches({"body": text})


def _tcp(check: Check, _prometheus: Upstream | None) -> ProbeResult:
    host, port = address_of(check.target)
    began = time.monotonic()
    with _explained(check), sockets.connect(host, port, timeout_seconds=check.timeout_seconds):
        taken = time.monotonic() - began
    return ProbeResult(UP, f"Connected in {taken * 1000:.0f} ms.", taken)


def _tls(check: Check, _prometheus: Upstream | None) -> ProbeResult:
    host, port = address_of(check.target)
    context = ssl.create_default_context()
    if not check.verify_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    began = time.monotonic()
    with (
        _explained(check),
        sockets.deadline(check.timeout_seconds),
        sockets.connect(host, port, timeout_seconds=check.timeout_seconds) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
    taken = time.monotonic() - began
    if not shown:
        return ProbeResult(DOWN, "The server presented no certificate.", taken)
    ends = x509.load_der_x509_certificate(shown).not_valid_after_utc
    return judge_certificate(
        ends, at=datetime.now(UTC), warn=timedelta(days=check.expiry_warning_days), latency=taken
    )


def judge_certificate(
    ends: datetime, *, at: datetime, warn: timedelta, latency: float
) -> ProbeResult:
    """Return the result for a certificate that expires at `ends`."""
    left = ends - at
    if left <= timedelta():
        said = f"The certificate expired on {ends:%Y-%m-%d}. Renew it on that server."
        return ProbeResult(DOWN, said, latency, ends)
    said = f"The certificate is valid until {ends:%Y-%m-%d}, {left.days} days from now."
    if left <= warn:
        return ProbeResult(DEGRADED, f"{said} Renew it soon.", latency, ends)
    return ProbeResult(UP, said, latency, ends)


def _promql(check: Check, prometheus: Upstream | None) -> ProbeResult:
    if prometheus is None:
        return ProbeResult(UNKNOWN, NO_PROMETHEUS)
    with Prometheus(prometheus, timeout_seconds=check.timeout_seconds) as server:
        data = server.query(check.promql)
    try:
        found = samples(data)
    except SampleError as error:
        return ProbeResult(UNKNOWN, str(error))
    wrong = failing(found, check.comparison, check.threshold)
    if wrong:
        more = f" Failing: {len(wrong)} of {len(found)} values." if len(found) > 1 else ""
        return ProbeResult(
            DOWN, f"{wrong[0]} should be {check.comparison} {check.threshold:g}.{more}"
        )
    values = "The value is" if len(found) == 1 else f"All {len(found)} values are"
    return ProbeResult(UP, f"{values} {check.comparison} {check.threshold:g}.")


class _explained:
    """Convert exceptions of a socket into an UpstreamError."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.began = time.monotonic()

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, ForbiddenAddressError):
            said = (
                f"{self.check.target} resolves to {error}, an address of a cloud metadata service,"
            )
            raise UpstreamError(
                Fault.FORBIDDEN_ADDRESS, f"{said} to which the portal never connects."
            ) from error
        if isinstance(error, OSError | ValueError):
            late = time.monotonic() - self.began >= self.check.timeout_seconds - 0.2
            cause: Exception = TimeoutError("timed out") if late else error
            fault, sentence = explain(
                cause, f"tls://{self.check.target}", self.check.timeout_seconds
            )
            raise UpstreamError(fault, sentence) from error


_PROBES: dict[str, Callable[[Check, Upstream | None], ProbeResult]] = {
    CheckKind.HTTP: _http,
    CheckKind.TCP: _tcp,
    CheckKind.TLS: _tls,
    CheckKind.PROMQL: _promql,
}
