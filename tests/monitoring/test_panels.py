"""The data of a chart through the API's door, against a server that answers as Prometheus does."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from redis.exceptions import ConnectionError as RedisConnectionError

from monitoring import panels
from monitoring.episodes import MAX_EPISODES, episodes
from monitoring.models import Panel
from portal.core.models import Upstream
from tests.conftest import Trail
from tests.factories import build_alert, make_alert, make_panel, make_upstream, sign_in
from tests.serving import serving

pytestmark = pytest.mark.django_db


class FakePrometheus:
    """Answers each range query with one series that is 1 at every step, and remembers the question."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.url = ""

    def answer(self, form: dict[str, str]) -> tuple[int, Any]:
        self.asked.append(form)
        if "((" in form["query"]:
            return 400, {
                "status": "error",
                "errorType": "bad_data",
                "error": "parse error: unclosed",
            }
        if "start" not in form:
            return 200, {"status": "success", "data": {"resultType": "vector", "result": []}}
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        times = [start + step * n for n in range(int((end - start) / step) + 1)]
        series = [{"metric": {"instance": "db"}, "values": [[at, "1"] for at in times]}]
        return 200, {"status": "success", "data": {"resultType": "matrix", "result": series}}


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    state = FakePrometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {key: values[0] for key, values in parse_qs(body).items()}
            code, answer = state.answer(form)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_args: Any) -> None:
            pass

    with serving(Handler) as port:
        state.url = f"http://127.0.0.1:{port}"
        yield state


@pytest.fixture
def prometheus(fake: FakePrometheus) -> Upstream:
    return make_upstream(name="prom", kind="prometheus", url=fake.url)


@pytest.fixture
def staff(client: Client) -> Client:
    sign_in(client)
    return client


def drawn(client: Client, panel: Panel, **query: Any) -> Any:
    answer = client.get(f"/api/v1/panels/{panel.pk}/data/", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_the_four_default_panels_are_there() -> None:
    assert list(Panel.objects.values_list("slug", flat=True)) == [
        "cpu",
        "memory",
        "database",
        "api-latency",
    ]
    for panel in Panel.objects.all():
        panel.full_clean()


def test_a_panel_is_drawn_with_its_legend_and_thresholds(
    staff: Client, prometheus: Upstream
) -> None:
    panel = make_panel(upstream=prometheus, legend="{{instance}}", warning_above=5, unit="bytes")
    data = drawn(staff, panel, start=1000, end=1600)
    assert [series["label"] for series in data["series"]] == ["db"]
    assert data["data"][0][:2] == [1000, 1005]
    assert set(data["data"][1]) == {1.0}
    assert (data["thresholds"], data["unit"]) == ({"warning": 5.0, "critical": None}, "bytes")
    assert (data["error"], data["freshness"], data["upstream"]) == ("", "live", "prom")


def test_a_chart_leads_to_its_expression_and_range_in_grafana(
    staff: Client, prometheus: Upstream, settings: Settings
) -> None:
    panel = make_panel(upstream=prometheus, promql='rate(x{a="b&c"}[$__rate_interval])')
    assert drawn(staff, panel, start=1000, end=1600)["grafana_url"] == ""
    settings.GRAFANA_URL = "https://grafana.example"
    prometheus.options = {"grafana_datasource": "main"}
    prometheus.full_clean()
    prometheus.save()
    url = urlsplit(drawn(staff, panel, start=1000, end=1600)["grafana_url"])
    assert (url.netloc, url.path) == ("grafana.example", "/explore")
    (pane,) = json.loads(parse_qs(url.query)["panes"][0]).values()
    assert pane["range"] == {"from": "1000000", "to": "1600000"}
    assert pane["queries"][0]["expr"] == panel.promql
    assert pane["datasource"] == pane["queries"][0]["datasource"]["uid"] == "main"


def test_the_same_question_soon_after_is_answered_from_the_cache(
    staff: Client, prometheus: Upstream, fake: FakePrometheus
) -> None:
    panel = make_panel()
    for _ in range(3):
        drawn(staff, panel, start=1000, end=1600)
    assert len(fake.asked) == 1


def test_an_answer_that_explodes_does_not_fill_the_cache(
    staff: Client, prometheus: Upstream, fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = make_panel()
    monkeypatch.setattr(panels, "MOST_CACHED", 200)
    for _ in range(2):
        assert drawn(staff, panel, start=1000, end=1600)["series"]
    assert len(fake.asked) == 2
    monkeypatch.undo()
    for _ in range(2):
        drawn(staff, panel, start=1000, end=1600)
    assert len(fake.asked) == 3


def test_a_chart_is_drawn_while_redis_is_down(
    staff: Client, prometheus: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("refused")

    monkeypatch.setattr(cache, "get", refuse)
    monkeypatch.setattr(cache, "set", refuse)
    assert drawn(staff, make_panel(), start=1000, end=1600)["series"]


def test_a_prometheus_that_is_down_is_a_sentence_not_a_failure(staff: Client) -> None:
    make_upstream(kind="prometheus", url="http://127.0.0.1:1", error="It was down.")
    data = drawn(staff, make_panel())
    assert "Nothing is listening at 127.0.0.1:1" in data["error"]
    assert (data["freshness"], data["series"]) == ("unreachable", [])


def test_without_any_prometheus_the_chart_says_so(staff: Client) -> None:
    assert "No Prometheus is connected" in drawn(staff, make_panel())["error"]


def test_wrong_promql_is_shown_in_prometheus_s_words(staff: Client, prometheus: Upstream) -> None:
    assert "parse error" in drawn(staff, make_panel(promql="sum((up"))["error"]


@pytest.mark.parametrize(
    "query",
    [{"start": "yesterday"}, {"end": "nan"}, {"step": "x"}, {"step": "-1"}, {"start": "20", "end": "10"},
     {"start": "2026-01-31T12:00:00"}, {"start": "0", "step": "1"}, {"start": "1e400"}],
    ids=str,
)  # fmt: skip
def test_a_wrong_range_is_a_problem_with_a_sentence(staff: Client, query: dict[str, str]) -> None:
    answer = staff.get(f"/api/v1/panels/{make_panel().pk}/data/", query)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_any_expression_can_be_drawn_by_rfc3339_times(staff: Client, prometheus: Upstream) -> None:
    query: dict[str, Any] = {
        "query": "up",
        "start": "2026-01-31T12:00:00Z",
        "end": "2026-01-31T12:10:00+00:00",
        "step": 60,
    }
    data = staff.get("/api/v1/metrics/query_range/", query).json()
    assert len(data["data"][0]) == 11
    assert staff.get("/api/v1/metrics/query_range/").status_code == 400


def test_a_panel_is_made_changed_and_deleted_through_the_api(
    staff: Client, prometheus: Upstream, trail: Trail
) -> None:
    body = {
        "slug": "load",
        "title": "Load",
        "promql": "up",
        "upstream": "prom",
        "alert_matchers": ['a="b"'],
    }
    made = staff.post("/api/v1/panels/", body, "application/json")
    assert made.status_code == 201, made.content
    path = f"/api/v1/panels/{made.json()['id']}/"
    wrong = staff.patch(path, {"promql": "sum((up"}, "application/json")
    assert wrong.status_code == 400
    assert "parse error" in wrong.json()["errors"]["promql"][0]
    bad = staff.patch(path, {"alert_matchers": ["not a matcher"]}, "application/json")
    assert bad.status_code == 400
    assert staff.patch(path, {"title": "Load 2"}, "application/json").json()["title"] == "Load 2"
    assert staff.delete(path).status_code == 204
    actions = [entry.action for entry in trail() if entry.target_type == "monitoring.panel"]
    assert actions == ["object.created", "object.updated", "object.deleted"]


def test_episodes_are_those_that_match_and_overlap() -> None:
    now = timezone.now()

    def alert(name: str, began: int, ended: int | None) -> None:
        over: dict[str, Any] = (
            {"state": "resolved", "ends_at": now - timedelta(minutes=ended)} if ended else {}
        )
        make_alert(alertname=name, starts_at=now - timedelta(minutes=began), **over)

    for name, began, ended in (
        ("CpuHigh", 90, None), ("CpuHigh", 50, 40), ("CpuHigh", 200, 100), ("CpuHigh", 70, 59), ("Disk", 50, 40),
    ):  # fmt: skip
        alert(name, began, ended)
    start, end = time.time() - 3600, time.time()
    found = episodes(['alertname=~"Cpu.*"', 'severity!="info"'], start=start, end=end)
    assert [round((end - episode.start) / 60) for episode in found] == [90, 70, 50]
    assert [episode.end is None for episode in found] == [True, False, False]
    assert found == episodes(['alertname="CpuHigh"'], start=start, end=end)
    assert episodes([], start=start, end=end) == episodes(["("], start=start, end=end) == ()


def test_no_more_episodes_than_can_be_seen_in_three_queries_at_most(
    django_assert_max_num_queries: Any,
) -> None:
    upstream = make_upstream()
    type(build_alert(upstream)).objects.bulk_create(
        build_alert(upstream) for _ in range(MAX_EPISODES + 50)
    )
    with django_assert_max_num_queries(3):
        found = episodes(['alertname="HighCPU"', 'severity="warning"'], start=0, end=time.time())
    assert len(found) == MAX_EPISODES
