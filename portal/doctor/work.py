"""Assesses whether work is being done: worker, beat, queues, checks, channels, scraping (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.doctor.findings import Finding, fail, ok, warn

HEARTBEAT_LIMIT_SECONDS = 60
MANY_TASKS = 200
WAITS_LONG_SECONDS = 60
WAITS_TOO_LONG_SECONDS = 600
START_BOTH = "Start worker and beat; if they are running, check their logs."


def worker(age_seconds: float | None) -> Finding:
    """Assess the age of the newest heartbeat of any worker."""
    if age_seconds is None:
        return fail("worker", "No worker has sent a heartbeat.", START_BOTH)
    if age_seconds > HEARTBEAT_LIMIT_SECONDS:
        return fail(
            "worker", f"No worker has sent a heartbeat for {age_seconds:.0f} s.", START_BOTH
        )
    return ok("worker", f"The last heartbeat from a worker was {age_seconds:.0f} s ago.")


def beat(live: Sequence[str]) -> Finding:
    """Assess which schedulers, as `host:pid`, have ticked in the last seconds."""
    if not live:
        return fail(
            "beat",
            "Beat is not running, so no upstream is polled and no check runs.",
            "Start beat, exactly once.",
        )
    if len(live) > 1:
        return fail(
            "beat",
            f"{len(live)} beats are running ({', '.join(sorted(live)[:5])}), so every tick is sent more than once.",
            "Stop all but one; a beat that has just been replaced disappears within 20 seconds.",
        )
    return ok("beat", f"One beat is running ({live[0]}).")


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """Celery's queue: its length, and how many seconds ago its oldest task expired."""

    tasks: int
    expired_seconds: float


def queue(facts: QueueFacts) -> Finding:
    said = f"{facts.tasks} tasks are waiting in the queue"
    cure = "Start more workers, or check the worker's log for tasks that take too long."
    if facts.expired_seconds > WAITS_LONG_SECONDS:
        return fail(
            "queue",
            f"{said}, and the oldest should have run {facts.expired_seconds:.0f} s ago.",
            cure,
        )
    return warn("queue", f"{said}.", cure) if facts.tasks > MANY_TASKS else ok("queue", f"{said}.")


def backlog(thing: str, count: int, oldest_seconds: float, *, what: str, cure: str) -> Finding:
    """Assess rows that are waiting for a task to process them."""
    if not count or oldest_seconds <= WAITS_LONG_SECONDS:
        return ok(thing, f"{count} {what}." if count else f"No {what}.")
    said = f"{count} {what}, the oldest for {oldest_seconds:.0f} s."
    return (fail if oldest_seconds > WAITS_TOO_LONG_SECONDS else warn)(thing, said, cure)


def detector(lag_seconds: float) -> Finding:
    if lag_seconds > WAITS_LONG_SECONDS:
        said = f"The detection rules are {lag_seconds:.0f} s behind the audit trail."
        cure = "Check the worker's log for the task detect_threats."
        return (fail if lag_seconds > WAITS_TOO_LONG_SECONDS else warn)("detector", said, cure)
    return ok("detector", "The detection rules are up to date with the audit trail.")


def retention(holding: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Assess which readers of the trail prevent months past the retention period from being dropped."""
    if not holding:
        return [
            ok(
                "retention",
                "No month of the audit trail is kept longer than AUDIT_RETENTION_MONTHS.",
            )
        ]
    return [
        fail("retention", f"{', '.join(months)} of the audit trail are kept past AUDIT_RETENTION_MONTHS, because"
             f" {reader} has not read them.",
             "Repair it, or disable it if it is not needed: the next hourly tick then drops them.")
        for reader, months in holding.items()
    ]  # fmt: skip


def siem(failing: Sequence[tuple[str, str]], *, enabled: int) -> list[Finding]:
    """Assess the SIEM destinations by the names and errors of those that fail."""
    if not failing:
        said = f"{enabled} SIEM destinations receive the audit trail."
        return [ok("siem", said if enabled else "The audit trail is not forwarded to a SIEM.")]
    return [
        fail(f"siem {name}", f"It does not accept the audit trail: {_ended(error)}",
             "Correct its URL, or repair the receiver.")
        for name, error in failing
    ]  # fmt: skip


def checks(overdue: int) -> Finding:
    if overdue:
        return warn(
            "checks",
            f"{overdue} checks are more than a minute overdue.",
            "Start more workers, or use longer intervals and shorter timeouts for the checks.",
        )
    return ok("checks", "All checks run on time.")


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    name: str
    failures: int
    error: str


def channels(failing: Sequence[ChannelFacts], *, enabled: int) -> list[Finding]:
    if not enabled:
        return [
            warn(
                "channels",
                "Nobody is notified of alerts: no channel is enabled.",
                "Add a channel under Channels, and a route under Routes.",
            )
        ]
    if not failing:
        return [ok("channels", f"{enabled} channels deliver without errors.")]
    return [
        fail(f"channel {row.name}", f"Its last {row.failures} attempts failed: {_ended(row.error)}",
             "Correct its URL, then send a test message.")
        for row in failing
    ]  # fmt: skip


def scraping(name: str, *, series: int, down_because: str) -> Finding:
    """Assess whether the Prometheus `name` scrapes this portal: it has our metric, or a target that is down."""
    thing = f"scraping by {name}"
    if series:
        return ok(thing, "It scrapes the portal's /metrics.")
    if down_because:
        return fail(
            thing,
            f"Its target for the portal is down: {_ended(down_because)}",
            "Check that its token is METRICS_TOKEN, and that its address matches PORTAL_URL and ALLOWED_HOSTS.",
        )
    return warn(
        thing,
        "It does not scrape the portal's /metrics, so charts and alerts of the portal itself are missing.",
        "Add the job `portal` as in docker/prometheus/prometheus.yml.",
    )


def _ended(sentence: str) -> str:
    """Return an upstream's message as the end of a sentence."""
    words = " ".join(sentence.split())[:300] or "no reason given"
    return words if words.endswith((".", "!", "?")) else f"{words}."
