"""How an upstream's row becomes bounds: long enough for a slow Alertmanager, changed by its options."""

from portal.core.connect import target_of
from portal.core.models import Upstream


def test_the_defaults_bear_a_slow_alertmanager_and_ask_for_no_compression() -> None:
    """One inhibit rule makes it need up to 50 s for 10,000 alerts; gzip is slower on a local link."""
    target = target_of(Upstream(name="am"), "http://am:9093")
    assert target.timeout_seconds >= 60
    assert (target.encoding, target.verify_tls, target.ca_file) == ("identity", True, "")
    assert target.max_body_bytes == 32 * 1024 * 1024


def test_each_bound_is_an_option_and_a_caller_may_only_shorten() -> None:
    options = {"timeout_seconds": 20, "max_body_mb": 1, "encoding": "gzip", "verify_tls": False}
    row = Upstream(name="am", options=options)
    target = target_of(row, "http://am:9093", timeout_seconds=60)
    assert (target.timeout_seconds, target.max_body_bytes) == (20, 1024 * 1024)
    assert (target.encoding, target.verify) == ("gzip", False)
    assert target_of(row, "http://am:9093", timeout_seconds=5).timeout_seconds == 5
