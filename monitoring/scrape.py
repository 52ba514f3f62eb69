"""Polls a Prometheus: fetch, plan, apply targets and service statuses in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from alerts import service_assignment
from monitoring import payloads, status
from monitoring.models import ServiceStatus, Target
from monitoring.payloads import ActiveTarget, AlertingRule
from monitoring.prometheus import Prometheus
from monitoring.reconcile import (
    KnownTarget,
    TargetPlan,
    Verdict,
    health_of,
    job_of,
    judge,
    key_of,
    plan_targets,
)
from monitoring.rules import health as rule_health
from portal.core import polling, sanitize, wording
from portal.core.catalogue import Catalogue
from portal.core.http import Fault, UpstreamError
from portal.core.models import Service, Upstream
from portal.core.polling import Report

# Limits how far a server that reports different jobs at each poll can fill the catalogue.
MOST_DISCOVERED = 2000


@dataclass(frozen=True, slots=True)
class Fetched:
    targets: list[ActiveTarget]
    rules: list[AlertingRule]
    bad: int
    skew_seconds: float | None
    build: payloads.BuildInfo
    runtime: payloads.RuntimeInfo


def poll(upstream: Upstream) -> Report:
    """Update targets and service statuses to what Prometheus reports now. Raises UpstreamError."""
    hold = partial(polling.hold, upstream)
    fetched = fetch(upstream, before_each=hold)
    hold()
    at = timezone.now()
    catalogue = Catalogue.load()
    if upstream.option("discover_services", True) and _discover(fetched.targets, catalogue):
        catalogue = Catalogue.load()
        service_assignment.reassign_if_changed()
    known = _known_targets(upstream)
    changes = plan_targets(
        known, fetched.targets, service_of=catalogue.service_id, complete=not fetched.bad
    )
    verdicts = judge(
        fetched.targets, payloads.firing(fetched.rules), service_of=catalogue.service_id
    )
    with transaction.atomic():
        _apply_targets(upstream, changes, catalogue, at)
        flips = _apply_verdicts(upstream, verdicts, at)
        rule_health.note(upstream, fetched.rules)
    return Report(
        summary=_summary(fetched, changes, flips),
        skew_seconds=fetched.skew_seconds,
        warning=_warning(fetched),
        observed=_observed(fetched),
    )


def fetch(upstream: Upstream, *, before_each: Callable[[], None] = lambda: None) -> Fetched:
    """Request targets, rules, build and runtime information; `before_each` is called before each request."""
    answers: list[Any] = []
    with Prometheus(upstream) as client:
        for ask in (client.targets, client.alerting_rules, client.build_info, client.runtime_info):
            before_each()
            answers.append(ask())
    (targets_data, reply), (rules_data, _), build_data, runtime_data = answers
    try:
        targets, bad_targets = payloads.active_targets(targets_data)
        rules, bad_rules = payloads.alerting_rules(rules_data)
    except payloads.PayloadError as error:
        sentence = f"{upstream.members[0]} does not answer like a Prometheus. {error}"
        raise UpstreamError(Fault.MALFORMED, sentence) from error
    return Fetched(
        targets=targets,
        rules=rules,
        bad=bad_targets + bad_rules,
        skew_seconds=reply.skew_seconds,
        build=payloads.info(build_data, payloads.BuildInfo),
        runtime=payloads.info(runtime_data, payloads.RuntimeInfo),
    )


def _discover(targets: list[ActiveTarget], catalogue: Catalogue) -> bool:
    """Add a service for each scrape job that has none; True when one was added."""
    jobs = {
        job_of(t) for t in targets if catalogue.service_id(t.labels) is None and t.labels.get("job")
    }
    room = MOST_DISCOVERED - Service.objects.filter(discovered=True).count() if jobs else 0
    added = False
    for job in sorted(jobs)[: max(room, 0)]:
        slug = slugify(job)[:100]
        if slug and slug not in catalogue.by_slug:
            matcher = f'job="{sanitize.line(job, 200)}"'
            defaults = {"name": sanitize.line(job, 200), "matchers": [matcher], "discovered": True}
            added |= Service.objects.get_or_create(slug=slug, defaults=defaults)[1]
    return added


def _known_targets(upstream: Upstream) -> dict[tuple[str, str], KnownTarget]:
    columns = ("job", "scrape_url", "id", "health", "error", "service_id", "labels")
    rows = Target.objects.filter(upstream=upstream).values_list(*columns)
    return {(row[0], row[1]): KnownTarget(*row[2:]) for row in rows}


def _row(
    upstream: Upstream, target: ActiveTarget, catalogue: Catalogue, at: datetime
) -> dict[str, Any]:
    job, scrape_url = key_of(target)
    return {
        "upstream": upstream,
        "service_id": catalogue.service_id(target.labels),
        "job": sanitize.line(job, 200),
        "instance": sanitize.line(target.labels.get("instance", ""), 500),
        "scrape_url": sanitize.line(scrape_url, 4000),
        "labels": sanitize.json(target.labels),
        "health": health_of(target),
        "error": sanitize.text(target.lastError, 1000),
        "changed_at": at,
    }


def _apply_targets(
    upstream: Upstream, changes: TargetPlan, catalogue: Catalogue, at: datetime
) -> None:
    if changes.gone:
        Target.objects.filter(id__in=changes.gone).delete()
    if changes.new:
        rows = [Target(**_row(upstream, target, catalogue, at)) for target in changes.new]
        Target.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)
    if changes.changed:
        rows = [
            Target(id=n, **_row(upstream, target, catalogue, at)) for n, target in changes.changed
        ]
        fields = ["service_id", "labels", "health", "error", "changed_at"]
        Target.objects.bulk_update(rows, ["service", *fields[1:]], batch_size=500)


def _apply_verdicts(upstream: Upstream, verdicts: dict[int, Verdict], at: datetime) -> int:
    """Write the targets' part of each status that differs, and update those services; return the flips.

    A service that this Prometheus no longer reports becomes unknown, because absence proves nothing.
    Services that another Prometheus watches are not changed.
    """
    stored = ServiceStatus.objects.exclude(targets_status="").exclude(upstream=None)
    rows = {row.service_id: row for row in stored}
    mine = {n for n, row in rows.items() if row.upstream_id == upstream.pk}
    gone = Verdict("unknown", f"{upstream.name} no longer scrapes it.", 0, 0)
    wanted = {n: v for n, v in verdicts.items() if n in mine or n not in rows}
    wanted |= dict.fromkeys(mine - verdicts.keys(), gone)
    blind = _blind_since(upstream, at=at)
    differing = {n: v for n, v in wanted.items() if blind or _said(rows.get(n)) != v}
    ServiceStatus.objects.bulk_create(
        # Locked in the same order as in status.update(), to avoid a deadlock.
        (
            _part(upstream, service_id, differing[service_id], at)
            for service_id in sorted(differing)
        ),
        update_conflicts=True,
        unique_fields=["service"],
        update_fields=[
            "upstream",
            "targets_status",
            "targets_reason",
            "targets_up",
            "targets_down",
        ],
    )
    return status.update(
        differing.keys(), at=at, blind_since=dict.fromkeys(mine, blind) if blind else None
    )


def _said(row: ServiceStatus | None) -> Verdict | None:
    if row is None:
        return None
    return Verdict(row.targets_status, row.targets_reason, row.targets_up, row.targets_down)


def _part(upstream: Upstream, service_id: int, verdict: Verdict, at: datetime) -> ServiceStatus:
    return ServiceStatus(
        service_id=service_id,
        upstream=upstream,
        since=at,
        targets_status=verdict.status,
        targets_reason=sanitize.text(verdict.reason, 1000),
        targets_up=verdict.targets_up,
        targets_down=verdict.targets_down,
    )


def _blind_since(upstream: Upstream, *, at: datetime) -> datetime | None:
    """Return the time of the last success if it is so long ago that the status since then is unknown."""
    last = upstream.succeeded_at
    return last if last and at - last > upstream.stale_after else None


def _observed(fetched: Fetched) -> dict[str, Any]:
    states = [rule.state for rule in fetched.rules]
    broken = [f"{rule.name}: {rule.lastError}" for rule in fetched.rules if rule.health == "err"]
    healths = [health_of(target) for target in fetched.targets]
    observed = {
        "version": fetched.build.version,
        "started_at": fetched.runtime.startTime,
        "retention": fetched.runtime.storageRetention,
        "config_reload_ok": fetched.runtime.reloadConfigSuccess,
        "targets_up": healths.count("up"),
        "targets_down": healths.count("down"),
        "rules": len(fetched.rules),
        "rules_firing": states.count("firing"),
        "rules_pending": states.count("pending"),
        "rules_broken": broken[:20],
    }
    return dict(sanitize.json(observed, limit=500))


def _warning(fetched: Fetched) -> str:
    said = []
    broken = [rule.name for rule in fetched.rules if rule.health == "err"]
    if broken:
        said.append(
            f"{len(broken)} alerting rules cannot be evaluated and cannot fire, such as {broken[0][:100]}."
        )
    if not fetched.runtime.reloadConfigSuccess:
        said.append("Its last configuration reload failed; it still runs the old configuration.")
    if fetched.bad:
        said.append(
            f"{fetched.bad} items could not be read and were left out; the others were processed."
        )
    return " ".join(filter(None, [*said, wording.skewed(fetched.skew_seconds)]))


def _summary(fetched: Fetched, changes: TargetPlan, flips: int) -> str:
    parts = [f"{len(fetched.targets)} targets", f"{len(fetched.rules)} alerting rules"]
    for count, word in (
        (len(changes.new), "new"),
        (len(changes.changed), "changed"),
        (len(changes.gone), "gone"),
    ):
        parts += [f"{count} {word}"] if count else []
    return ", ".join(parts + ([f"{flips} services changed status"] if flips else []))
