"""Probes an upstream once, without changing stored data, and says in one sentence what is wrong."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone

from alerts import polling as alertmanager
from alerts.alertmanager import Alertmanager
from alerts.models import HookDelivery
from alerts.payloads import instant
from audit import services as audit
from monitoring import certificates, diagnosis, scrape
from monitoring.logs import polling as logs
from monitoring.sentry import SORTS, Sentry
from portal.core import wording
from portal.core.http import UpstreamError
from portal.core.models import Upstream
from portal.core.probing import ProbeAnswer, prober_of


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a test; `warnings` are about a server that does answer."""

    ok: bool
    sentence: str
    warnings: tuple[str, ...] = ()


def run(upstream: Upstream, *, actor: Any) -> Result:
    """Run the test and return its result; a failure is audited as `integration.test_failed`."""
    result = judge(upstream, *ask(upstream))
    if not result.ok:
        audit.record(
            "integration.test_failed",
            actor=actor,
            target=upstream,
            outcome="failure",
            reason=result.sentence,
        )
    return result


def ask(upstream: Upstream) -> tuple[ProbeAnswer | str, datetime | None]:
    """Return the server's answer or what is wrong with it, and when its certificate expires; reads no database."""
    prober = prober_of(upstream.kind)
    if prober is None:
        kind = upstream.get_kind_display()
        return f"The portal cannot test a server of kind {kind}. Choose another kind.", None
    try:
        answer = prober(upstream)
    except UpstreamError as error:
        return diagnosis.hinted(str(error), error.status, upstream.members[0]), None
    ends = [end for member in upstream.members if (end := certificates.end_of(member))]
    return answer, min(ends, default=None)


def judge(
    upstream: Upstream, answer: ProbeAnswer | str, certificate_end: datetime | None
) -> Result:
    """Combine the server's answer with what the portal has received from it."""
    if isinstance(answer, str):
        return Result(False, answer)
    now = timezone.now()
    host = upstream.members[0].partition("://")[2].partition("/")[0]
    said = (
        wording.skewed(answer.skew_seconds),
        diagnosis.certificate_ends(certificate_end, host=host, at=now),
        _webhook(upstream, answer, at=now),
    )
    warnings = tuple(filter(None, said))
    sentence = f"{answer.sentence} {answer.failure}".strip()
    return Result(not answer.failure, sentence, warnings)


def hook_url(upstream: Upstream) -> str:
    return f"{settings.PORTAL_URL}{reverse('hook-alertmanager', args=[upstream.name])}"


def _webhook(upstream: Upstream, answer: ProbeAnswer, *, at: datetime) -> str:
    if upstream.kind != Upstream.Kind.ALERTMANAGER:
        return ""
    deliveries = HookDelivery.objects.filter(upstream=upstream)
    return diagnosis.webhook(
        has_hook=answer.has_hook,
        firing_since=answer.firing_since,
        last_delivery=deliveries.aggregate(last=Max("received_at"))["last"],
        url=hook_url(upstream),
        at=at,
    )


# --- How each kind is asked -----------------------------------------------------------------------


def ask_prometheus(upstream: Upstream) -> ProbeAnswer:
    found = scrape.fetch(upstream)
    sentence = f"Prometheus {found.build.version} answers with {len(found.targets)} targets."
    return ProbeAnswer(sentence, found.skew_seconds)


def ask_sentry(upstream: Upstream) -> ProbeAnswer:
    """Read one page, in whichever order the server supports."""
    with Sentry(upstream) as client:
        try:
            page = client.issues()
        except UpstreamError as error:
            if error.status not in (400, 422):
                raise
            page = client.issues(sort=SORTS[1])
        more = "and more" if page.next_query else "all there are"
        said = f"{client.organization} answers with {len(page.issues)} issues, {more}."
    return ProbeAnswer(said, page.skew_seconds)


def ask_elasticsearch(upstream: Upstream) -> ProbeAnswer:
    seen = logs.look(upstream)
    failure = f"But: {seen.warning}" if seen.warning else ""
    return ProbeAnswer(f"{seen.sentence} answers.", seen.skew_seconds, failure)


def ask_alertmanager(upstream: Upstream) -> ProbeAnswer:
    """List its alerts, and check whether its configuration contains our webhook."""
    listed = alertmanager.fetch(upstream)
    now = timezone.now() + timedelta(seconds=listed.skew_seconds or 0)
    starts = [
        start
        for alert in listed.alerts.values()
        if alert.status.state == "active"
        and (start := instant(alert.startsAt))
        and now - diagnosis.HOOK_MEMORY < start
    ]
    return ProbeAnswer(
        f"Alertmanager {listed.version} answers with {len(listed.alerts)} alerts.",
        listed.skew_seconds,
        f"But one member failed: {listed.failures[0]}" if listed.failures else "",
        has_hook=_has_hook(upstream, listed.failed_members),
        firing_since=min(starts, default=None),
    )


def _has_hook(upstream: Upstream, failed: list[str]) -> bool | None:
    """Return whether the configuration contains our webhook; None if it hides its URLs (since 0.26)."""
    member = next((name for name in upstream.members if name not in failed), None)
    if member is None:
        return None
    with Alertmanager(upstream, member) as client:
        status = client.status().json()
    config = status.get("config") if isinstance(status, dict) else None
    text = config.get("original") if isinstance(config, dict) else None
    if not isinstance(text, str):
        return None
    if reverse("hook-alertmanager", args=[upstream.name]) in text:
        return True
    return None if "webhook_configs" in text and "url: <secret>" in text else False
