"""Alert rules through API, admin and command, with a real Prometheus."""

import json
import urllib.request
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import AuditEntry
from monitoring import polling
from monitoring.models import Rule
from portal.core.models import Upstream
from security import tokens
from tests.core.hostile import reply, serving
from tests.factories import make_rule, make_service, make_upstream, make_user, sign_in
from tests.stack import asked, real_prometheus, until

pytestmark = pytest.mark.django_db
CONFIGURATION = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules/*.yml]
scrape_configs: [{job_name: nobody, static_configs: [{targets: ["127.0.0.1:9", "127.0.0.1:10"]}]}]
"""


@pytest.fixture
def client() -> Client:
    token = tokens.create(user=make_user(), name="ci", scopes=["read", "monitoring:write"])[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prometheus")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with real_prometheus(folder, CONFIGURATION) as url:
        until(lambda: len(asked(f"{url}/api/v1/query?query=up")["result"]) == 2, "no scrape")
        yield url


@pytest.fixture
def prometheus(server: str) -> Upstream:
    return make_upstream(kind="prometheus", name="prom", url=server)


def post(client: Client, path: str, body: dict[str, Any], code: int = 201) -> Any:
    answer = client.post(f"/api/v1/{path}", body, content_type="application/json")
    assert answer.status_code == code, answer.content
    return answer.json()


WANTED = {"name": "ShopDown", "expr": "up == 0", "severity": "critical"}


@pytest.mark.stack
def test_a_rule_is_made_changed_and_deleted(client: Client, prometheus: Upstream) -> None:
    make_service(slug="shop")
    made = post(client, "rules/", {**WANTED, "service": "shop", "labels": {"team": "a"}})
    assert made["accepted_at"]
    path = f"/api/v1/rules/{made['id']}/"
    changed = client.patch(path, {"for_duration": "1m"}, content_type="application/json")
    assert (changed.status_code, changed.json()["for_duration"]) == (200, "1m")
    broken = client.patch(path, {"expr": "sum(("}, content_type="application/json")
    assert (broken.status_code, "parse error" in str(broken.json())) == (400, True)
    assert client.get("/api/v1/rules/?service=shop").json()["results"][0]["name"] == "ShopDown"
    assert client.delete(path).status_code == 204
    actions = AuditEntry.objects.filter(target_type="monitoring.rule").values_list("action", flat=True)  # fmt: skip
    assert {"object.created", "object.updated", "object.deleted"} <= set(actions)


@pytest.mark.stack
@pytest.mark.parametrize(
    "expr, words",
    [("up[5m]", "a range vector"), ('"text"', "a string"), ("up)) or ((up", "parse error"),
     ("nofunc(up)", "unknown function"), ("up # comment", ""), ("1", ""), ("up == 0\nor up == 1", "")],
)  # fmt: skip
def test_prometheus_judges_the_expression(
    expr: str, words: str, client: Client, prometheus: Upstream
) -> None:
    body = post(client, "rules/", {**WANTED, "expr": expr}, 400 if words else 201)
    assert words in str(body)


@pytest.mark.parametrize(
    "over, field",
    [({"for_duration": "5"}, "for_duration"), ({"keep_firing_for": "-1m"}, "keep_firing_for"), ({"name": ""}, "name"),
     ({"name": "a\nb"}, "name"), ({"summary": "{{ $x }}"}, "summary"), ({"labels": {"severity": "x"}}, "labels"),
     ({"labels": ["x"]}, "labels"), ({"annotations": {"summary": "x"}}, "annotations"),
     ({"service": "none"}, "service"),
     ({"upstream": "none"}, "upstream"), ({"severity": "{{ $value }}"}, "severity"), ({"expr": " "}, "expr"),
     ({"group": " "}, "group"), ({"description": "{{ end }}"}, "description"), ({"expr": "up\u200b"}, "expr")],
)  # fmt: skip
def test_a_wrong_rule_is_refused_with_its_field(
    over: dict[str, Any], field: str, client: Client
) -> None:
    assert field in post(client, "rules/", {**WANTED, **over}, 400)["errors"]


def test_a_rule_of_the_same_name_and_severity_is_refused(client: Client) -> None:
    post(client, "rules/", WANTED)
    assert "already" in str(post(client, "rules/", WANTED, 400))
    post(client, "rules/", {**WANTED, "severity": "warning"})


def test_a_rule_nobody_could_be_asked_about_is_left_out_of_the_export(client: Client) -> None:
    make_upstream(kind="prometheus", error="Nothing is listening.")
    made = post(client, "rules/", WANTED)
    assert made["accepted_at"] is None
    text = client.get("/api/v1/rules/export/").content.decode()
    assert yaml.safe_load(text) == {"groups": []}
    assert '# Left out: "ShopDown: no Prometheus has accepted' in text


def test_the_export_has_the_enabled_rules_of_its_prometheus(client: Client) -> None:
    shop = make_service(slug="shop", runbook_url="https://runbooks.example/shop")
    one, other = (make_upstream(kind="prometheus", name=name) for name in ("one", "other"))
    make_rule(
        name="All", service=shop, labels={"team": "a"}, summary="{{ $value }}", for_duration="0"
    )
    make_rule(name="One", upstream=one, keep_firing_for="5m")
    make_rule(name="Other", upstream=other)
    make_rule(name="Off", enabled=False)
    answer = client.get("/api/v1/rules/export/?upstream=one")
    assert answer["Content-Type"].startswith("text/yaml")
    found = {
        rule.pop("alert"): rule for rule in yaml.safe_load(answer.content)["groups"][0]["rules"]
    }
    assert found == {
        "All": {"expr": "up == 0", "labels": {"severity": "warning", "service": "shop", "team": "a"},
                "annotations": {"summary": "{{ $value }}", "runbook_url": "https://runbooks.example/shop"}},
        "One": {"expr": "up == 0", "for": "5m", "keep_firing_for": "5m", "labels": {"severity": "warning"}},
    }  # fmt: skip
    assert client.get("/api/v1/rules/export/?upstream=none").status_code == 400


def test_the_export_has_an_etag(client: Client) -> None:
    rule = make_rule()
    headers = {"If-None-Match": client.get("/api/v1/rules/export/")["ETag"], "Accept": "text/yaml"}
    assert client.get("/api/v1/rules/export/", headers=headers).status_code == 304
    Rule.objects.filter(pk=rule.pk).update(expr="up == 1")
    assert client.get("/api/v1/rules/export/", headers=headers).status_code == 200


@pytest.mark.parametrize("count", [1, 50])
def test_lists_and_export_cost_the_same_for_any_number(count: int, client: Client) -> None:
    for _ in range(count):
        make_rule(service=make_service())
    client.get("/api/v1/rules/")  # the first use of a token from a place is written down
    for path, most in (("rules/", 3), ("rules/export/", 3), ("scrape-targets/", 3)):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/api/v1/{path}").status_code == 200
        assert len(queries) <= most, [query["sql"] for query in queries]


@pytest.mark.stack
def test_a_preview_shows_what_would_fire_and_stores_nothing(
    client: Client, prometheus: Upstream
) -> None:
    texts = {
        "summary": "{{ $labels.instance }} is {{ $value }}",
        "labels": {"where": "{{ $labels.job }}"},
    }
    shown = post(client, "rules/preview/", {**WANTED, **texts}, 200)
    assert (shown["count"], shown["warning"], shown["error"]) == (2, "", "")
    first = min(shown["firing"], key=lambda alert: alert["labels"]["instance"])
    assert first["annotations"] == {"summary": "127.0.0.1:10 is 0"}
    assert first["labels"] == {"alertname": "ShopDown", "instance": "127.0.0.1:10", "job": "nobody",
                               "severity": "critical", "where": "nobody"}  # fmt: skip
    assert not Rule.objects.exists()


# More series than a rule may give.
MANY = "".join(f'shop_order{{number="{number}"}} 1\n' for number in range(1200)).encode()
EXPLODING = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: shop, static_configs: [{{targets: ["{target}"]}}]}}]
"""


@pytest.mark.stack
def test_a_preview_names_an_expression_that_explodes(client: Client, tmp_path: Path) -> None:
    with serving(reply(MANY, "200 OK", "Content-Type: text/plain")) as shop, \
         real_prometheus(tmp_path, EXPLODING.format(target=shop[7:])) as url:  # fmt: skip
        until(
            lambda: len(asked(f"{url}/api/v1/query?query=shop_order")["result"]) == 1200,
            "no scrape",
        )
        make_upstream(kind="prometheus", name="prom", url=url)
        shown = post(client, "rules/preview/", {**WANTED, "expr": "shop_order"}, 200)
    assert "Too many results" in shown["warning"] + shown["error"]
    assert (shown["count"], len(shown["firing"])) == (1200, 50)


@pytest.mark.stack
@pytest.mark.parametrize(
    "expr, count, words",
    [("up == 7", 0, "Nothing matches"), ("1 > bool 0", 1, ""),
     ("sum(", 0, "parse error"), ("up # all", 2, "")],
)  # fmt: skip
def test_a_preview_warns(
    expr: str, count: int, words: str, client: Client, prometheus: Upstream
) -> None:
    shown = post(client, "rules/preview/", {**WANTED, "expr": expr}, 200)
    assert words in shown["warning"] + shown["error"]
    assert shown["count"] == count
    assert len(shown["firing"]) <= 50


@pytest.mark.parametrize(
    "result",
    [
        [{"metric": {}, "value": [1, "NaN"]}],
        [{"metric": "x", "value": [1, "+Inf"]}],
        [7],
        {"a": 1},
        "nonsense",
    ],
    ids=["NaN", "infinite", "no sample", "an object", "a text"],
)
def test_a_preview_of_what_a_server_makes_up_is_no_error_of_the_portal(
    client: Client, result: Any
) -> None:
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})
    with serving(reply(body.encode(), "200 OK", "Content-Type: application/json")) as url:
        make_upstream(kind="prometheus", name="prom", url=url)
        assert post(client, "rules/preview/", WANTED, 200)["count"] == 0


@pytest.mark.stack
def test_a_real_prometheus_loads_the_exported_file_and_fires(
    server: str, prometheus: Upstream, folder: Path
) -> None:
    rule = make_rule(
        name="NobodyAnswers", for_duration="0", severity="page", summary="{{ $labels.instance }}"
    )
    make_rule(
        name='Odd: "quotes" \\ {}',
        accepted_at=None,
        annotations={"x": "yes: [#"},
        for_duration="1d",
    )
    (folder / "rules").mkdir(exist_ok=True)
    said = StringIO()
    call_command("rules_export", str(folder / "rules"), stdout=said)
    assert "Wrote 2 rules" in said.getvalue()
    assert "rule_files:" in said.getvalue()
    reload(server)
    until(
        lambda: {a["labels"]["alertname"] for a in asked(f"{server}/api/v1/alerts")["alerts"] if a["state"] == "firing"}
        == {"NobodyAnswers"},
        "the rule did not fire",
    )  # fmt: skip
    assert polling.poll(prometheus.pk).error == ""
    rule.refresh_from_db()
    assert (rule.loaded_state, rule.get_loaded_state_display()) == ("firing", "Firing")
    assert AuditEntry.objects.filter(action="rule.exported").exists()


def reload(server: str) -> None:
    """Tell Prometheus to read its files again."""
    urllib.request.urlopen(
        urllib.request.Request(f"{server}/-/reload", method="POST"), timeout=20
    ).close()


def test_the_command_writes_whole_files_only_when_they_change(tmp_path: Path) -> None:
    make_rule()
    said = StringIO()
    call_command("rules_export", str(tmp_path / "new" / "rules.yml"), stdout=said)
    call_command("rules_export", str(tmp_path / "new" / "rules.yml"), stdout=said)
    assert "is unchanged" in said.getvalue()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rules.yml"]
    call_command("rules_export", stdout=said)
    assert "groups:" in said.getvalue()
    with pytest.raises(CommandError, match="There is no Prometheus nobody"):
        call_command("rules_export", upstream="nobody")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("rules_export", "/proc/nothing/rules.yml")


def form(**over: str) -> dict[str, str]:
    facts = {
        "group": "shop",
        "position": "1",
        "enabled": "on",
        "for_duration": "5m",
        "keep_firing_for": "0",
    }
    texts = {"labels": "{}", "annotations": "{}", "description": "a\r\nb"}
    return {**WANTED, **facts, **texts, **over}


def test_staff_write_a_rule_and_see_it_in_the_list() -> None:
    staff = Client()
    sign_in(staff)
    answer = staff.post(reverse("admin:monitoring_rule_add"), form(), follow=True)
    page = answer.content.decode()
    assert "left out of exports" in page
    rule = Rule.objects.get()
    assert rule.description == "a\nb"
    assert staff.get(rule.get_absolute_url()).status_code == 200
    wrong = staff.post(reverse("admin:monitoring_rule_add"), form(for_duration="5"))
    assert "is not a duration" in wrong.content.decode()
    export = staff.get(reverse("admin:monitoring_rule_export"))
    assert (export.status_code, b"groups: []" in export.content) == (200, True)


@pytest.mark.stack
def test_the_preview_button_answers_a_part_of_the_page(prometheus: Upstream) -> None:
    staff = Client()
    sign_in(staff)
    path = reverse("admin:monitoring_rule_preview")
    make_rule(**WANTED, group="shop")  # the page may be that of a stored rule
    part = staff.post(path, form(summary="<b>{{ $labels.job }}</b>")).content.decode()
    assert "<strong>2</strong> series would fire" in part
    assert "&lt;b&gt;nobody&lt;/b&gt;" in part
    assert "Correct the form first" in staff.post(path, form(for_duration="x")).content.decode()
    assert staff.get(path).status_code == 405
