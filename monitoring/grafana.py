"""Builds links to Grafana: a chart's expression in Explore, and a service's dashboard from docker/grafana.

https://grafana.com/docs/grafana/latest/explore/get-started-with-explore/
"""

import json
from urllib.parse import quote, urlencode

from django.conf import settings

# As named in docker/grafana.
DATASOURCE = "prometheus"
SERVICES = "portal-api"


def explore_url(promql: str, *, start: float, end: float, datasource: str = DATASOURCE) -> str:
    """Return the URL of Explore with an expression between two Unix times; empty without GRAFANA_URL."""
    if not settings.GRAFANA_URL:
        return ""
    source = {"type": "prometheus", "uid": datasource}
    pane = {
        "datasource": datasource,
        "queries": [{"refId": "A", "datasource": source, "expr": promql, "range": True}],
        "range": {"from": str(round(start * 1000)), "to": str(round(end * 1000))},
    }
    panes = json.dumps({"portal": pane}, separators=(",", ":"))
    return f"{settings.GRAFANA_URL}/explore?{urlencode({'schemaVersion': 1, 'panes': panes})}"


def service_url(slug: str) -> str:
    """Return the URL of the requests to a service over the last day; empty without GRAFANA_URL."""
    if not settings.GRAFANA_URL:
        return ""
    wanted = urlencode({"var-service": slug, "from": "now-24h", "to": "now"}, quote_via=quote)
    return f"{settings.GRAFANA_URL}/d/{SERVICES}?{wanted}"
