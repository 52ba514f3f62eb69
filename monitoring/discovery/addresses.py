"""Validates scrape targets for Prometheus (pure); each error says what to write."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import groupby
from typing import Any

from monitoring.checks.targets import TargetError, address_of
from monitoring.rules.grammar import GrammarError, check_label_name
from portal.core.sockets import FORBIDDEN_NAMES, FORBIDDEN_NETWORKS

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.I | re.A)
OWN_LABELS = ("job", "service", "instance")
MAX_LABELS = 20


def check_address(written: str) -> str:
    """Return `host:port` or `[IPv6]:port` in normal form. Raises TargetError."""
    host, port = address_of(written)
    if "%" in host:
        raise TargetError("Remove the zone of the IPv6 address: Prometheus cannot use it.")
    try:
        address = ip_address(host)
    except ValueError:
        _check_name(host)
        return f"{host}:{port}"
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in network for network in FORBIDDEN_NETWORKS):
        raise _metadata(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_name(host: str) -> None:
    """Reject what is not a DNS name, including numbers that some resolvers take for an address."""
    labels = host.rstrip(".").split(".")
    if host.rstrip(".").lower() in FORBIDDEN_NAMES:
        raise _metadata(host)
    if len(host) > 253 or not all(_NAME.fullmatch(label) for label in labels):
        raise TargetError(
            "This is not a host name. Write host:port, for example shop.example:9100."
        )
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1], re.I | re.A):
        raise TargetError(
            "This is not an IP address. Write four numbers, for example 10.0.0.5:9100."
        )


def _metadata(host: str) -> TargetError:
    return TargetError(
        f"{host[:100]} is an address of cloud metadata services, which hand out credentials. Use another address."
    )


def check_path(written: str) -> None:
    """Accept a path without a query: Prometheus takes parameters elsewhere. Raises TargetError."""
    if not re.fullmatch(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", written, re.A):
        raise TargetError("Write a path that starts with /, without ? or #, for example /metrics.")


def check_labels(labels: Any) -> None:
    """Check the labels that a target adds to its series. Raises GrammarError."""
    if not isinstance(labels, Mapping) or len(labels) > MAX_LABELS:
        raise GrammarError(
            f'Labels must be an object of at most {MAX_LABELS} strings, for example {{"zone": "a"}}.'
        )
    for name, value in labels.items():
        check_label_name(name)
        if name in OWN_LABELS:
            raise GrammarError(
                f"The label {name} is set from the service and the address. Remove it."
            )
        if not isinstance(value, str) or len(value) > 500 or not (value.isprintable() or not value):
            raise GrammarError(
                f"The value of {name} must be a string of at most 500 characters on one line."
            )


@dataclass(frozen=True, slots=True)
class Scraped:
    """One target of a service, as stored."""

    service: str
    address: str
    scheme: str
    metrics_path: str
    labels: tuple[tuple[str, str], ...]

    @property
    def group(self) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
        return self.service, self.scheme, self.metrics_path, self.labels


def document(targets: Iterable[Scraped]) -> list[dict[str, Any]]:
    """Return http_sd's list: targets of the same service, path and labels share a group.

    The slug becomes the labels `job` and `service`, by which alerts and targets are assigned to the service.
    https://prometheus.io/docs/prometheus/latest/http_sd/
    """
    ordered = sorted(targets, key=lambda target: (target.group, target.address))
    found = []
    for (service, scheme, path, labels), members in groupby(ordered, key=lambda t: t.group):
        own = {"job": service, "service": service, "__scheme__": scheme, "__metrics_path__": path}
        found.append({"targets": [t.address for t in members], "labels": {**dict(labels), **own}})
    return found
