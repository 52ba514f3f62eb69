"""The Collector and Tempo: pipelines of parts that exist, ports that fit each other."""

from typing import Any

from tests.docker.files import services, yaml_of
from tests.docker.queries import QUERIES


def collector() -> dict[str, Any]:
    found: dict[str, Any] = yaml_of("otel/collector.yml")
    return found


def port(address: str) -> int:
    return int(address.rpartition(":")[2])


def scraped(name: str) -> set[int]:
    jobs = yaml_of("prometheus/compose.yml")["scrape_configs"]
    return {
        found["port"]
        for job in jobs
        for found in job.get("dns_sd_configs", ())
        if name in found["names"]
    }


def test_every_part_of_a_pipeline_is_defined_and_every_definition_used() -> None:
    file = collector()
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in file["service"]["pipelines"].values():
        for kind, names in used.items():
            names |= set(pipeline[kind])
    connectors = set(file["connectors"])
    assert connectors == used["receivers"] & used["exporters"]
    for kind, names in used.items():
        assert names - connectors == set(file[kind])
    assert set(file["service"]["extensions"]) == set(file["extensions"])


def test_memory_is_limited_first_and_below_the_limit_of_the_container() -> None:
    limit = services()["otel-collector"]["deploy"]["resources"]["limits"]["memory"]
    assert collector()["processors"]["memory_limiter"]["limit_mib"] < int(limit.removesuffix("m"))
    pipelines = collector()["service"]["pipelines"].values()
    assert all(pipeline["processors"][0] == "memory_limiter" for pipeline in pipelines)


def test_spans_go_to_where_tempo_listens_and_metrics_to_where_prometheus_asks() -> None:
    tempo = yaml_of("tempo/tempo.yml")
    otlp = tempo["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert collector()["exporters"]["otlphttp/tempo"]["endpoint"] == f"http://tempo:{port(otlp)}"
    (reader,) = collector()["service"]["telemetry"]["metrics"]["readers"]
    own = reader["pull"]["exporter"]["prometheus"]["port"]
    assert scraped("otel-collector") == {
        own,
        port(collector()["exporters"]["prometheus"]["endpoint"]),
    }
    assert scraped("tempo") == {tempo["server"]["http_listen_port"]}


def test_applications_reach_the_port_that_is_published() -> None:
    (published,) = services()["otel-collector"]["ports"]
    endpoint = collector()["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert port(published) == port(endpoint)


def test_the_dashboards_ask_for_the_metrics_by_the_names_the_collector_gives_them() -> None:
    spans = collector()["connectors"]["spanmetrics"]
    prefix = spans["namespace"].replace(".", "_")
    assert spans["histogram"]["unit"] == "s"
    asked = " ".join(query for _, query in QUERIES)
    assert f"{prefix}_calls_total{{" in asked
    assert f"{prefix}_duration_seconds_bucket{{" in asked


def test_tempo_writes_to_its_volume_alone() -> None:
    storage = yaml_of("tempo/tempo.yml")["storage"]["trace"]
    targets = [volume.split(":")[1] for volume in services()["tempo"]["volumes"]]
    assert all(storage[part]["path"].startswith(f"{targets[-1]}/") for part in ("wal", "local"))
