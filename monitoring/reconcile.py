"""Plans the changes to targets and services that follow from one poll of a Prometheus (pure)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from monitoring.payloads import ActiveTarget, RuleAlert

URGENT_SEVERITIES = frozenset({"critical", "page", "error"})
TargetKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KnownTarget:
    id: int
    health: str
    error: str
    service_id: int | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """New and changed targets, and the ids of those that Prometheus no longer scrapes."""

    new: tuple[ActiveTarget, ...] = ()
    changed: tuple[tuple[int, ActiveTarget], ...] = ()
    gone: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.new or self.changed or self.gone)


def job_of(target: ActiveTarget) -> str:
    return (target.labels.get("job") or target.scrapePool or "unnamed")[:200]


def key_of(target: ActiveTarget) -> TargetKey:
    return job_of(target), target.scrapeUrl[:4000]


def health_of(target: ActiveTarget) -> str:
    return target.health if target.health in ("up", "down") else "unknown"


def plan_targets(
    known: Mapping[TargetKey, KnownTarget],
    seen: Iterable[ActiveTarget],
    *,
    service_of: Callable[[Mapping[str, str]], int | None],
    complete: bool = True,
) -> TargetPlan:
    """Return the differences; unless `complete` (all targets were readable), none are treated as gone."""
    new, changed, listed = [], [], set()
    for target in seen:
        key = key_of(target)
        if key in listed:
            continue
        listed.add(key)
        old = known.get(key)
        if old is None:
            new.append(target)
        elif _facts(target, service_of) != (old.health, old.error, old.service_id, old.labels):
            changed.append((old.id, target))
    gone = [old.id for key, old in known.items() if key not in listed] if complete else []
    return TargetPlan(tuple(new), tuple(changed), tuple(gone))


def _facts(
    target: ActiveTarget, service_of: Callable[[Mapping[str, str]], int | None]
) -> tuple[str, str, int | None, Mapping[str, str]]:
    return health_of(target), target.lastError[:1000], service_of(target.labels), target.labels


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of one service and the sentence that explains it."""

    status: str
    reason: str
    targets_up: int
    targets_down: int


def judge(
    targets: Iterable[ActiveTarget],
    firing: Iterable[RuleAlert],
    *,
    service_of: Callable[[Mapping[str, str]], int | None],
) -> dict[int, Verdict]:
    """Return a status for each service that has targets or firing rules.

    Down: all targets are down. Degraded: some are down, or an urgent rule is firing. Unknown: none has
    been scraped yet.
    """
    health: dict[int, list[ActiveTarget]] = defaultdict(list)
    for target in targets:
        service = service_of(target.labels)
        if service is not None:
            health[service].append(target)
    urgent: dict[int, list[str]] = defaultdict(list)
    for alert in firing:
        service = service_of(alert.labels)
        if service is not None and alert.labels.get("severity", "").lower() in URGENT_SEVERITIES:
            urgent[service].append(alert.labels.get("alertname", "an unnamed rule"))
    return {s: _verdict(health.get(s, []), urgent.get(s, [])) for s in {*health, *urgent}}


def _verdict(targets: list[ActiveTarget], urgent: list[str]) -> Verdict:
    up = sum(1 for target in targets if health_of(target) == "up")
    down = [target for target in targets if health_of(target) == "down"]
    if down and not up:
        said = f"All {len(down)} targets are down" if len(down) > 1 else "Its only target is down"
        return Verdict(
            "down", f"{said}: {down[0].lastError[:300] or 'no error given'}.", up, len(down)
        )
    if down:
        first = down[0].labels.get("instance", "one")
        return Verdict(
            "degraded",
            f"{len(down)} of {len(targets)} targets are down, among them {first}.",
            up,
            len(down),
        )
    if urgent:
        names = ", ".join(sorted(set(urgent))[:5])
        return Verdict("degraded", f"Firing: {names}.", up, 0)
    if not up:
        return Verdict("unknown", "Its targets have not been scraped yet.", 0, 0)
    return Verdict("up", "", up, 0)
