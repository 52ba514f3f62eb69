"""Builds links to the same search in Kibana and in OpenSearch Dashboards (pure).

Their Discover takes its state as rison after a `#`; each generation uses different names in it.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote

from monitoring.logs.queries import LogQuery, service_pairs, stamp

FLAVOURS = ("kibana7", "kibana8", "opensearch1", "opensearch2")


def flavour_of(distribution: str, version: str) -> str:
    """Return the generation of dashboards for a server; for unknown ones, Kibana 8.

    OpenSearch Dashboards changed its Discover in 2.10.
    """
    major, _, minor = version.partition(".")
    if distribution == "OpenSearch":
        is_first = major == "1" or (major == "2" and re.match(r"[0-9](?![0-9])", minor))
        return "opensearch1" if is_first else "opensearch2"
    return "kibana7" if major in ("6", "7") else "kibana8"


def discover_url(base: str, query: LogQuery, *, flavour: str, data_view: str = "") -> str:
    """Return the URL of Discover with this search; empty without `base`.

    `base` may contain the prefix of a space (`/s/ops`). Without a data view's id, Discover uses its default.
    """
    if not base:
        return ""
    time = f"time:(from:{text(stamp(query.since))},to:{text(stamp(query.until))})"
    shared = f"(filters:!(),refreshInterval:(pause:!t,value:0),{time})"
    query_state = f"query:(language:lucene,query:{text(lucene(query))})"
    sort = "sort:!(!('@timestamp',desc))"
    if flavour == "opensearch2":
        view = f",indexPattern:{text(data_view)}" if data_view else ""
        state = f"(discover:(columns:!(message),isDirty:!f,{sort}),metadata:(view:discover{view}))"
        own = f"_q={_encoded(f'(filters:!(),{query_state})')}"
        place = "data-explorer/discover"
        return f"{base}/app/{place}#?_a={_encoded(state)}&_g={_encoded(shared)}&{own}"
    view = ""
    if data_view and flavour == "kibana8":
        view = f"dataSource:(dataViewId:{text(data_view)},type:dataView),"
    elif data_view:
        view = f"index:{text(data_view)},"
    state = f"(columns:!(message),{view}interval:auto,{query_state},{sort})"
    return f"{base}/app/discover#/?_g={_encoded(shared)}&_a={_encoded(state)}"


def lucene(query: LogQuery) -> str:
    """Return text and filters as one Lucene query, in ECS names."""
    parts = [f"({query.text})"] if query.text else []
    parts += [_any_of(field, values) for field, values in service_pairs(query)]
    parts += [f'host.name:"{_quoted(query.host)}"'] if query.host else []
    parts += [f"log.level:({' OR '.join(query.levels)})"] if query.levels else []
    return " AND ".join(parts)


def _any_of(field: str, values: Sequence[str]) -> str:
    said = " OR ".join(f'"{_quoted(value)}"' for value in values)
    name = re.sub(r"[/-]", r"\\\g<0>", field)
    return f"{name}:({said})" if len(values) > 1 else f"{name}:{said}"


def text(value: str) -> str:
    """Return a string of rison."""
    escaped = value.replace("!", "!!").replace("'", "!'")
    return f"'{escaped}'"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _encoded(rison: str) -> str:
    return quote(rison, safe="!'()*:,@-_.~")
