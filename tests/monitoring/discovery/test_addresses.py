"""What may be a scrape target, and how targets are handed out."""

from typing import Any

import pytest

from monitoring.checks.targets import TargetError
from monitoring.discovery.addresses import (
    Scraped,
    check_address,
    check_labels,
    check_path,
    document,
)
from monitoring.rules.grammar import GrammarError


@pytest.mark.parametrize(
    "written, kept",
    [("shop:9100", "shop:9100"), ("Shop.Example:80", "shop.example:80"), ("10.0.0.5:1", "10.0.0.5:1"),
     ("[::1]:9100", "[::1]:9100"), ("node_1.svc.:9100", "node_1.svc.:9100"), ("127.0.0.1:9090", "127.0.0.1:9090")],
)  # fmt: skip
def test_an_address_is_kept(written: str, kept: str) -> None:
    assert check_address(written) == kept


@pytest.mark.parametrize(
    "written",
    ["shop", "shop:", "shop:0", "shop:99999", "shop:9100/metrics", "u@shop:1", "a b:1", "-shop:1", "shop..x:1",
     "169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fe80::1]:80", "[fe80::1%eth0]:80", "[fd00:ec2::254]:80",
     "metadata.google.internal:80", "METADATA:80", "2852039166:80", "0xa9fea9fe:80", "169.254.43518:80",
     "{{ x }}:80", "shop:9100?x=1", "ü:80", "x" * 300 + ":80", "a\x00b:80"],
)  # fmt: skip
def test_what_is_no_address_or_forbidden_is_refused(written: str) -> None:
    with pytest.raises(TargetError, match=r"\."):
        check_address(written)


@pytest.mark.parametrize(
    "written", ["", "metrics", "/m?x=1", "/m#x", "/a b", "/ü", "/m\n", "http://x/"]
)
def test_what_is_no_path_is_refused(written: str) -> None:
    with pytest.raises(TargetError, match="Write a path"):
        check_path(written)


@pytest.mark.parametrize(
    "labels", [[], {"job": "x"}, {"__address__": "x"}, {"a": 1}, {"a": "x\n"}, {"a b": "x"}, {"a": "\ud800"}]
)  # fmt: skip
def test_labels_prometheus_keeps_for_itself_are_refused(labels: Any) -> None:
    with pytest.raises(GrammarError):
        check_labels(labels)


def test_targets_of_a_service_share_a_group_in_a_stable_order() -> None:
    targets = [
        Scraped("shop", "b:1", "http", "/metrics", ()),
        Scraped("shop", "a:1", "http", "/metrics", ()),
        Scraped("shop", "a:2", "https", "/m", (("zone", "a"),)),
    ]
    own = {"job": "shop", "service": "shop"}
    expected = [
        {"targets": ["a:1", "b:1"], "labels": {**own, "__scheme__": "http", "__metrics_path__": "/metrics"}},
        {"targets": ["a:2"], "labels": {"zone": "a", **own, "__scheme__": "https", "__metrics_path__": "/m"}},
    ]  # fmt: skip
    assert document(targets) == document(reversed(targets)) == expected
