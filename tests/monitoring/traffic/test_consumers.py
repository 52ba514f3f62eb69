"""Who asks: the portal's own requests as counted, and the label of another service, from a real Prometheus."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from monitoring.traffic import consumers
from monitoring.traffic.profiles import PROFILES, queries
from monitoring.traffic.report import BY_CONSUMER, NOBODY, Report, report
from monitoring.traffic.rows import RouteRow
from portal.core.models import Upstream
from tests.browser.stack import real_prometheus
from tests.factories import make_upstream, sign_in

EVERY, SINCE = 15, 5400


def series(name: str, per_second: float, end: int) -> Iterator[str]:
    """Yield a counter that rises by so many a second."""
    for at in range(end - SINCE, end + 1, EVERY):
        yield f"{name} {per_second * (at - end + SINCE):.1f} {at}"


def histogram(
    labels: str, per_second: float, end: int, name: str = consumers.METRIC
) -> Iterator[str]:
    yield from series(f"{name}_count{{{labels}}}", per_second, end)
    for bound in ("0.05", "0.25", "+Inf"):
        seen = 0 if bound == "0.05" else per_second
        yield from series(f'{name}_bucket{{{labels},le="{bound}"}}', seen, end)


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    end = int(time.time() // EVERY) * EVERY
    lines = [
        *histogram('consumer="token ci of ada",job="portal",status="2xx"', 3, end),
        *histogram('consumer="token ci of ada",job="portal",status="5xx"', 1, end),
        *histogram('consumer="user ada",job="portal",status="2xx"', 1, end),
    ]
    plain = 'job="shop",method="GET",route="/pay",status_code="200"'
    for label in ('client="app"', 'client="web"', 'caller="x"'):
        lines += histogram(f"{label},{plain}", 2, end, "http_request_duration_seconds")
    lines.sort(key=lambda line: line.rpartition(" ")[0].rpartition(" ")[0])
    typed, last = [], ""
    for line in lines:
        if (name := line.partition("{")[0]) != last:
            typed.append(f"# TYPE {name} unknown")
        typed, last = [*typed, line], name
    with real_prometheus("\n".join([*typed, "# EOF", ""])) as url:
        yield url


def ask(url: str, **over: Any) -> Report:
    server = Upstream(name="p", kind="prometheus", url=url)
    return report(window="1h", upstream=server, by=BY_CONSUMER, **over)


@pytest.mark.stack
@pytest.mark.django_db
def test_the_portals_own_and_the_first_label_of_a_service(prometheus: str) -> None:
    found = ask(prometheus)
    assert found.error == ""
    rows = {(row.service, row.route): row for row in found.rows}
    assert set(rows) == {
        ("portal", "token ci of ada"), ("portal", "user ada"), ("shop", "app"), ("shop", "web"),
    }  # fmt: skip
    ci = rows["portal", "token ci of ada"]
    assert ci.requests == pytest.approx(4 * 3600, rel=0.02)
    assert ci.error_ratio == pytest.approx(0.25, rel=0.05)
    assert ci.p95 == pytest.approx(0.24, rel=0.05)
    assert ci.change == pytest.approx(1.0, abs=1.2)
    assert found.rows[0] is ci


@pytest.mark.stack
@pytest.mark.django_db
def test_which_labels_name_a_consumer_is_set(prometheus: str, settings: Any) -> None:
    settings.TRAFFIC_CONSUMER_LABELS = ["caller"]
    shop = [row.route for row in ask(prometheus).rows if row.service == "shop"]
    assert shop == ["x"]
    settings.TRAFFIC_CONSUMER_LABELS = []
    assert {row.service for row in ask(prometheus).rows} == {"portal"}


@pytest.mark.stack
@pytest.mark.django_db
def test_both_doors_show_them(prometheus: str, client: Client) -> None:
    sign_in(client)
    make_upstream(kind="prometheus", url=prometheus)
    page = client.get("/admin/analytics/consumers/?window=1h").content.decode()
    for words in ("token ci of ada", "By consumer", "Share", "app"):
        assert words in page, words
    body = client.get("/api/v1/analytics/consumers/?window=1h&service=portal").json()
    assert [row["consumer"] for row in body["rows"]] == ["token ci of ada", "user ada"]
    assert body["rows"][0]["share"] == pytest.approx(0.8, rel=0.05)
    assert "route" not in body["rows"][0]


@pytest.mark.stack
@pytest.mark.django_db
def test_where_nothing_names_them_it_says_what_would() -> None:
    with real_prometheus() as url:
        found = ask(url)
    assert (found.rows, found.note, found.error) == ([], NOBODY, "")


def test_a_family_is_read_with_the_label_in_the_place_of_the_route() -> None:
    own, *others = consumers.candidates(PROFILES[:2], ["client", "caller"])
    assert own is consumers.OWN
    assert [profile.route for profile in others] == ["client", "client", "caller", "caller"]
    asked = queries(others[1], 3600)["requests"]
    assert asked == (
        "sum by (job, client) (increase("
        'http_server_request_duration_seconds_count{http_route!="",client!=""}[3600s]))'
    )


def test_rows_of_a_service_come_from_one_label() -> None:
    def row(service: str, name: str) -> dict[tuple[str, str, str], RouteRow]:
        return {(service, name, ""): RouteRow(service, name, "", requests=1)}

    rows = consumers.added(row("shop", "app"), {**row("shop", "x"), **row("mail", "y")})
    assert [key[:2] for key in rows] == [("shop", "app"), ("mail", "y")]
