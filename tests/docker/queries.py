"""Every PromQL of the Grafana dashboards, with Grafana's variables filled in as Grafana does."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.docker.files import DOCKER

Dashboard = dict[str, Any]
DASHBOARDS: dict[str, Dashboard] = {
    path.stem: json.loads(path.read_text())
    for path in sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
}


def filled(query: str) -> str:
    """Replace `$__rate_interval` and the like by a duration, a variable by "any value"."""
    query = re.sub(r"\$__(rate_interval|interval|range)\b", "5m", query)
    return re.sub(r"\$\w+", ".*", query)


def expressions(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]


QUERIES = [
    (f"{name}: {where}", filled(query))
    for name, dashboard in DASHBOARDS.items()
    for where, query in expressions(dashboard)
]


def metrics_asked_for(*prefixes: str) -> set[str]:
    """Return the metrics of these programs that the dashboards ask for; of a histogram, its name."""
    asked = " ".join(query for _where, query in QUERIES)
    found = re.findall(rf"\b((?:{'|'.join(prefixes)})_\w+)", re.sub(r'"[^"]*"', "", asked))
    return {name.removesuffix("_bucket") for name in found}
