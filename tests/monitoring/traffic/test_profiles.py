"""Rows by route: pure merging, and every family of metrics against a real Prometheus."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.traffic.profiles import PROFILES, Profile, queries
from monitoring.traffic.report import NOTHING, report
from monitoring.traffic.rows import ORDERS, RouteRow, merge, top
from portal.core.models import Upstream
from tests.browser.stack import real_prometheus
from tests.core.hostile import reply, serving
from tests.factories import make_service, make_upstream

EVERY, SINCE = 15, 5400
BUCKETS = (0.1, 0.5, 1.0)


def series(profile: Profile, end: int) -> Iterator[str]:
    """Yield OpenMetrics lines: 2 requests a second for 90 minutes, a tenth of them errors, 0.1 to 0.5 s."""
    status = profile.errors.partition("=")[0]
    wrong = "STATUS_CODE_ERROR" if status == "status_code" and "span" in profile.title else "503"
    fixed = {
        profile.service: f"job-{PROFILES.index(profile)}",
        profile.route: "/pay",
        profile.method: "GET",
    }
    if "span" in profile.title:
        fixed["span_kind"] = "SPAN_KIND_SERVER"
    for at in range(end - SINCE, end + 1, EVERY):
        n = 2 * (at - (end - SINCE))
        for code, share in (("200", 0.9), (wrong, 0.1)):
            labels = ",".join(f'{k}="{v}"' for k, v in {**fixed, status: code}.items())
            unit = 1 / profile.scale
            for bound in BUCKETS:
                seen = 0 if bound == 0.1 else n * share
                yield f'{profile.bucket}{{{labels},le="{bound * unit:g}"}} {seen:.0f} {at}'
            yield f'{profile.bucket}{{{labels},le="+Inf"}} {n * share:.0f} {at}'
            counts = {profile.count, profile.bucket.removesuffix("_bucket") + "_count"}
            for name in sorted(counts):
                yield f"{name}{{{labels}}} {n * share:.0f} {at}"


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    end = int(time.time() // EVERY) * EVERY
    unsorted = {line for profile in PROFILES for line in series(profile, end)}
    lines = sorted(unsorted, key=lambda line: line.split(" ")[::2])  # by series, then by time
    with real_prometheus("\n".join([*_typed(lines), "# EOF", ""])) as url:
        yield url


def _typed(lines: list[str]) -> Iterator[str]:
    """Yield the lines with a TYPE line before each name: OpenMetrics wants names together."""
    last = ""
    for line in lines:
        name = line.partition("{")[0]
        if name != last:
            yield f"# TYPE {name} unknown"
            last = name
        yield line


@pytest.mark.stack
@pytest.mark.django_db
def test_every_family_of_metrics_is_understood(prometheus: str) -> None:
    make_service(slug="shop", matchers=['job="job-0"'])
    found = report(window="1h", upstream=Upstream(name="p", kind="prometheus", url=prometheus))
    assert found.error == ""
    assert len(found.sources) == len(found.rows) == len(PROFILES)
    for row in found.rows:
        assert (row.route, row.method) == ("/pay", "GET")
        assert row.requests == pytest.approx(7200, rel=0.02), row.service
        assert row.error_ratio == pytest.approx(0.1, rel=0.05), row.service
        assert (row.p50, row.p95, row.p99) == pytest.approx((0.3, 0.48, 0.496), rel=0.05), (
            row.service
        )
        assert len(row.curve) > 10
    assert [row.service for row in found.rows if row.service_slug] == ["job-0"]


@pytest.mark.stack
@pytest.mark.django_db
def test_the_trend_is_the_growth_against_the_window_before(prometheus: str) -> None:
    make_upstream(kind="prometheus", url=prometheus)
    # The series begin half an hour before the last hour, and are steady ever after.
    assert all(row.change == pytest.approx(0, abs=0.05) for row in report(window="15m").rows)
    assert all(row.change == pytest.approx(1, abs=0.1) for row in report(window="1h").rows)


@pytest.mark.stack
@pytest.mark.django_db
def test_one_service_alone(prometheus: str) -> None:
    make_service(slug="shop", matchers=['job="job-0"'])
    server = Upstream(name="p", kind="prometheus", url=prometheus)
    assert len(report(service="shop", upstream=server).rows) == 1
    assert report(service="nobody", upstream=server).rows == []


@pytest.mark.django_db
def test_a_prometheus_that_does_not_answer_is_said() -> None:
    make_upstream(kind="prometheus", url="http://127.0.0.1:9")
    found = report()
    assert (found.rows, "connection refused" in found.error) == ([], True)


@pytest.mark.django_db
def test_without_a_prometheus_it_says_so() -> None:
    assert "No Prometheus is connected" in report().error


@pytest.mark.stack
@pytest.mark.django_db
def test_without_request_metrics_it_says_which_are_understood() -> None:
    with real_prometheus() as url:
        found = report(upstream=Upstream(name="p", kind="prometheus", url=url))
    assert (found.note, found.error) == (NOTHING, "")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"result": None},
        {"result": [7, {"metric": 1}, {"value": ["x"]}, {"value": [1, "NaN"]}]},
        {"result": [{"metric": {}, "value": [1, "1e308"]}, {"metric": {}, "values": 7}]},
    ],
)
def test_answers_of_another_shape_give_no_rows(answer: Any) -> None:
    assert merge(PROFILES[0], dict.fromkeys(queries(PROFILES[0], 60), answer), answer) == {}


def test_a_curve_of_another_shape_is_none_and_a_growth_without_end_is_not_told() -> None:
    profile = PROFILES[0]
    said = {"requests": {"result": [{"metric": {}, "value": [1, "1e17"]}]},
            "before": {"result": [{"metric": {}, "value": [1, "1e-300"]}]}}  # fmt: skip
    (row,) = merge(profile, said, {"result": [{"metric": {}, "values": 7}]}).values()
    assert (row.requests, row.curve, row.change) == (1e17, [], None)


@pytest.mark.django_db
def test_a_prometheus_that_lies_of_its_metrics_gives_no_traffic() -> None:
    lie = {"resultType": "vector", "result": [{"metric": {"profile": "nan"}, "value": [1, "1"]}]}
    body = json.dumps({"status": "success", "data": lie}).encode()
    with serving(reply(body, "200 OK", "Content-Type: application/json")) as url:
        found = report(upstream=Upstream(name="p", kind="prometheus", url=url))
    assert (found.note, found.error) == (NOTHING, "")


def test_rows_are_ordered_and_bounded() -> None:
    rows = [RouteRow("s", str(n), "GET", requests=n, p95=1 / (n + 1)) for n in range(1200)]
    for order in ORDERS:
        assert len(top(rows, order)) == 1000
    assert top(rows, "requests")[0].requests == 1199
    assert top(rows, "p95")[0].requests == 0
