"""Grafana's files: data sources that exist, dashboards that are whole, links that lead into the portal."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import resolve
from pytest_django import Settings

from monitoring import grafana
from tests.docker.files import DOCKER, services, yaml_of
from tests.docker.queries import DASHBOARDS, Dashboard, expressions

PORTAL = "http://127.0.0.1:8000"
EACH = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def sources() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml_of("grafana/provisioning/datasources/datasources.yml")[
        "datasources"
    ]
    return found


def every(value: Any, key: str) -> Iterator[Any]:
    """Yield each value under `key`, however deep."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from every(one, key)


def test_there_are_four_dashboards_of_different_names() -> None:
    assert len(DASHBOARDS) == 4
    for key in ("uid", "title"):
        assert len({dashboard[key] for dashboard in DASHBOARDS.values()}) == 4


@EACH
def test_panels_have_ids_and_places_of_their_own(dashboard: Dashboard) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        assert place["x"] + place["w"] <= 24
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        taken |= cells


@EACH
def test_every_data_source_that_is_named_is_provisioned(dashboard: Dashboard) -> None:
    known = {(source["type"], source["uid"]) for source in sources()}
    assert {(named["type"], named["uid"]) for named in every(dashboard, "datasource")} <= known


def test_data_sources_refer_to_each_other_and_to_services_of_the_stack() -> None:
    uids = {source["uid"] for source in sources()}
    assert set(every(sources(), "datasourceUid")) <= uids
    hosts = {source["url"].split("/")[2].split(":")[0] for source in sources()}
    assert hosts <= set(services())


@EACH
def test_every_variable_that_is_used_is_defined_and_the_other_way_round(
    dashboard: Dashboard,
) -> None:
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = {
        name
        for _where, query in expressions(dashboard)
        for name in re.findall(r"\$(\w+)", query)
        if not name.startswith("__")
    }
    assert defined
    assert used == defined


@EACH
def test_every_dashboard_shows_alerts_and_leads_back_to_the_portal(dashboard: Dashboard) -> None:
    (annotation,) = dashboard["annotations"]["list"]
    assert annotation["expr"].startswith("ALERTS{")
    leading = [url for url in every(dashboard, "url") if url]
    assert leading
    for url in leading:
        assert url.startswith(f"{PORTAL}/")
        assert "catch_all" not in resolve(url.removeprefix(PORTAL)).view_name


def test_the_start_script_fills_the_portals_address_in(tmp_path: Path) -> None:
    target = tmp_path / "made"
    environment = {
        "PATH": os.environ["PATH"], "TARGET": str(target), "GRAFANA_ENTRYPOINT": "/bin/echo",
        "DASHBOARDS": str(DOCKER / "grafana" / "dashboards"), "PORTAL_URL": "https://portal.example.org/",
    }  # fmt: skip
    command = ["sh", str(DOCKER / "grafana" / "start.sh"), "handed", "on"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "handed on\n"
    for name in DASHBOARDS:
        text = (target / f"{name}.json").read_text()
        assert PORTAL not in text
        assert "https://portal.example.org/admin/" in text


def test_dashboards_are_read_from_where_the_start_script_puts_them() -> None:
    (provider,) = yaml_of("grafana/provisioning/dashboards/dashboards.yml")["providers"]
    script = (DOCKER / "grafana" / "start.sh").read_text()
    assert f"TARGET:={provider['options']['path']}}}" in script


def test_what_the_portal_links_to_is_provisioned(settings: Settings) -> None:
    settings.GRAFANA_URL = "http://127.0.0.1:3000"
    assert grafana.DATASOURCE in {source["uid"] for source in sources()}
    url = urlsplit(grafana.service_url("shop"))
    found = next(d for d in DASHBOARDS.values() if url.path == f"/d/{d['uid']}")
    names = {f"var-{variable['name']}" for variable in found["templating"]["list"]}
    assert {name for name in parse_qs(url.query) if name.startswith("var-")} <= names
