"""Asks an upstream once, without touching what is stored, and says what is wrong in one sentence."""

from dataclasses import dataclass
from typing import Any

from alerts import polling as alertmanager
from audit import services as audit
from monitoring import scrape
from monitoring.logs import polling as logs
from monitoring.sentry import SORTS, Sentry
from portal.core.http import UpstreamError
from portal.core.models import Upstream


@dataclass(frozen=True, slots=True)
class Result:
    ok: bool
    sentence: str


def run(upstream: Upstream, *, actor: Any) -> Result:
    """Return the verdict; a failure is audited as `integration.test_failed`."""
    try:
        if upstream.kind == Upstream.Kind.PROMETHEUS:
            found = scrape.fetch(upstream)
            said = f"Prometheus {found.build.version} answers with {len(found.targets)} targets."
        elif upstream.kind == Upstream.Kind.SENTRY:
            said = _sentry(upstream)
        elif upstream.kind == Upstream.Kind.ELASTICSEARCH:
            seen = logs.look(upstream)
            said = f"{seen.sentence} answers."
            if seen.warning:
                return Result(False, f"{said} But: {seen.warning}")
        else:
            listed = alertmanager.fetch(upstream)
            said = f"Alertmanager {listed.version} answers with {len(listed.alerts)} alerts."
            if listed.failures:
                return Result(False, f"{said} But one member failed: {listed.failures[0]}")
    except UpstreamError as error:
        audit.record(
            "integration.test_failed",
            actor=actor,
            target=upstream,
            outcome="failure",
            reason=str(error),
        )
        return Result(False, str(error))
    return Result(True, said)


def _sentry(upstream: Upstream) -> str:
    """Read one page, in whichever order the server knows."""
    with Sentry(upstream) as client:
        try:
            page = client.issues()
        except UpstreamError as error:
            if error.status not in (400, 422):
                raise
            page = client.issues(sort=SORTS[1])
        more = "and more" if page.next_query else "all there are"
        return f"{client.organization} answers with {len(page.issues)} issues, {more}."
