"""Says what is visible through the upstreams, so that "no alerts" never looks like "cannot see alerts"."""

from dataclasses import dataclass
from datetime import datetime

from portal.core.models import Freshness, Upstream, UpstreamKind

SETTLING = "settling"
LABELS: dict[str, str] = {**dict(Freshness.choices), SETTLING: "Settling"}
WHAT: dict[str, str] = {
    UpstreamKind.ALERTMANAGER: "alerts",
    UpstreamKind.PROMETHEUS: "service states",
    UpstreamKind.SENTRY: "errors",
    UpstreamKind.ELASTICSEARCH: "logs",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One upstream and how far its data can be trusted. `sentence` says what is wrong, or is empty."""

    id: int
    name: str
    kind: str
    kind_label: str
    state: str
    label: str
    sentence: str
    warning: str
    attempted_at: datetime | None
    succeeded_at: datetime | None
    error_since: datetime | None
    duration_seconds: float | None
    clock_skew_seconds: float | None

    @property
    def is_seeing(self) -> bool:
        return self.state in (Freshness.LIVE, SETTLING)


@dataclass(frozen=True, slots=True)
class Sight:
    """`state` is clear, partial or blind; `sentence` says why it is not clear and what to do."""

    state: str
    sentence: str = ""

    @property
    def is_blind(self) -> bool:
        return self.state == "blind"

    @property
    def is_clear(self) -> bool:
        return self.state == "clear"


def source_of(upstream: Upstream, *, at: datetime) -> Source:
    """Return the freshness of `upstream`, with a sentence that explains it."""
    freshness = upstream.freshness(at=at)
    settling = freshness == Freshness.LIVE and upstream.settling_since is not None
    state = SETTLING if settling else freshness.value
    return Source(
        id=upstream.pk,
        name=upstream.name,
        kind=upstream.kind,
        kind_label=UpstreamKind(upstream.kind).label,
        state=state,
        label=LABELS[state],
        sentence=_sentence(upstream, state),
        warning=upstream.warning,
        attempted_at=upstream.attempted_at,
        succeeded_at=upstream.succeeded_at,
        error_since=upstream.error_since,
        duration_seconds=upstream.duration_seconds,
        clock_skew_seconds=upstream.clock_skew_seconds,
    )


def _sentence(upstream: Upstream, state: str) -> str:
    if state == Freshness.UNREACHABLE:
        return upstream.error
    if state == Freshness.STALE:
        return (
            "No poll has succeeded for more than three intervals."
            " Check that worker and beat are running."
        )
    if state == Freshness.NEVER:
        return "It has not been polled yet. The first poll runs within seconds after the worker starts."
    if state == SETTLING:
        reason = (upstream.settling_reason or "The list has just changed a lot").rstrip(".")
        return (
            f"{reason}. Until it has settled, no alert is closed for being missing from the list."
        )
    return ""


def sight_of(kind: str, sources: tuple[Source, ...]) -> Sight:
    """Return whether the data of upstreams of `kind` is current."""
    label, what = UpstreamKind(kind).label, WHAT[kind]
    mine = [source for source in sources if source.kind == kind]
    seeing = [source for source in mine if source.is_seeing]
    if not mine:
        return Sight("blind", f"No {label} is connected, so {what} cannot be seen.")
    if len(seeing) == len(mine):
        return Sight("clear")
    causes = "; ".join(_cause(source) for source in mine if not source.is_seeing)
    if seeing:
        return Sight("partial", f"Only some of the {what} can be seen: {causes}.")
    return Sight("blind", f"The current {what} cannot be seen: {causes}.")


def _cause(source: Source) -> str:
    """Return why one source gives no current data, as a clause."""
    clauses = {
        Freshness.NEVER.value: "has not been polled yet",
        Freshness.STALE.value: "has not been polled in time",
    }
    return f"{source.name} {clauses.get(source.state, 'does not answer')}"
