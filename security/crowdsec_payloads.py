"""Parses and builds payloads of CrowdSec's local API (pure). https://crowdsecurity.github.io/api_doc/lapi/"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

ORIGIN, SCENARIO = "devops-portal", "devops-portal/block"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
LONGEST = timedelta(days=3650)
# Never shared: these addresses mean something different on each machine.
_LOCAL = tuple(map(ip_network, (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/4",
    "100.64.0.0/10", "::1/128", "::/128", "fc00::/7", "fe80::/10", "ff00::/8",
)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """One remote decision about an address or network."""

    id: int
    value: str
    is_network: bool
    left: timedelta
    reason: str
    origin: str


def duration(written: str) -> timedelta:
    """Return the length of a Go duration such as "3h59m58.2s" or "-5s". Raises ValueError."""
    text = written.removeprefix("-")
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{written[:40]!r} is not a duration")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    length = timedelta(seconds=min(seconds, LONGEST.total_seconds()))
    return -length if written.startswith("-") else length


def go_duration(length: timedelta) -> str:
    """Return a duration in Go's notation, which has no unit for days."""
    return f"{max(1, round(length.total_seconds()))}s"


def decisions(items: Any) -> tuple[list[Decision], int]:
    """Return the bans of addresses and networks, and the number of invalid items; null means no decisions."""
    found, bad = [], 0
    for item in items if isinstance(items, list) else []:
        try:
            decision = _decision(item)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            bad += 1
            continue
        if decision is not None:
            found.append(decision)
    return found, bad


def _decision(item: Mapping[str, Any]) -> Decision | None:
    if item["type"] != "ban" or str(item["scope"]).lower() not in ("ip", "range"):
        return None
    network = ip_network(str(item["value"]), strict=False)
    is_one = network.prefixlen == network.max_prefixlen
    return Decision(
        id=int(item.get("id") or 0), value=str(network.network_address if is_one else network), is_network=not is_one,
        left=duration(str(item["duration"])), reason=str(item.get("scenario", ""))[:300],
        origin=str(item.get("origin", ""))[:100],
    )  # fmt: skip


def is_local(value: str) -> bool:
    """True for addresses private to a machine or site, which are therefore not shared."""
    network = ip_network(value)
    return any(network.version == local.version and network.overlaps(local) for local in _LOCAL)


def alert(value: str, *, reason: str, left: timedelta, at: datetime) -> dict[str, Any]:
    """Return the alert that carries one ban; the server fails if any of these fields is missing."""
    moment = at.isoformat()
    scope = "Range" if "/" in value else "Ip"
    ban = {"duration": go_duration(left), "origin": ORIGIN, "scenario": SCENARIO, "scope": scope, "type": "ban",
           "value": value}  # fmt: skip
    return {
        "scenario": SCENARIO, "scenario_hash": "", "scenario_version": "1", "message": reason[:200] or "blocked",
        "events_count": 1, "start_at": moment, "stop_at": moment, "capacity": 0, "leakspeed": "0", "simulated": False,
        "remediation": True, "events": [{"timestamp": moment, "meta": [{"key": "source_ip", "value": value}]}],
        "source": {"scope": scope, "value": value}, "decisions": [ban],
    }  # fmt: skip
