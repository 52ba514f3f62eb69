"""compose.yml keeps its promises: pinned, limited, without root, on loopback, and complete."""

import re
from pathlib import Path

import pytest

from portal import __version__, gunicorn_conf
from portal.core.embedded.places import BASE_DIR
from tests.docker import files
from tests.docker.files import Service, compose, is_path, mounts, profiles, services

ALL = pytest.mark.parametrize("name, service", services().items(), ids=services())
CORE = {
    "portal",
    "worker",
    "beat",
    "postgres",
    "valkey",
    "prometheus",
    "alertmanager",
    "node-exporter",
}
ONE_SHOT = {"secrets", "prepare", "elasticsearch-accounts"}
OF_ELASTIC = {"elasticsearch", "logstash", "kibana"}  # they write into their own folders
PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+\.?\d*(-[a-z0-9]+)*$")


def test_the_profiles_hold_what_the_documentation_says() -> None:
    by_profile: dict[str, set[str]] = {}
    for name, service in services().items():
        for profile in profiles(service) or {"core"}:
            by_profile.setdefault(profile, set()).add(name)
    assert by_profile == {
        "core": CORE | {"secrets", "prepare"},
        "dashboards": {"grafana"},
        "logs": OF_ELASTIC | {"elasticsearch-accounts"},
        "traces": {"otel-collector", "tempo"},
    }


@ALL
def test_every_image_has_a_version(name: str, service: Service) -> None:
    assert PINNED.match(service["image"])
    base = service.get("build", {}).get("args", {}).get("IMAGE")
    assert base is None or (
        PINNED.match(base) and base.split(":")[1] == service["image"].split(":")[1]
    )


def test_the_image_of_the_portal_has_the_version_of_the_portal() -> None:
    ours = {s["image"] for s in services().values() if s["image"].startswith("devops-portal:")}
    assert ours == {f"devops-portal:{__version__}"}


@ALL
def test_nothing_has_more_rights_than_it_needs(name: str, service: Service) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert re.match(r"^\d+:\d+$", service["user"])
    # One gives volumes to their owners before anything runs, and has no network.
    allowed = name == "secrets" and service["network_mode"] == "none"
    assert allowed or (not service["user"].startswith("0:") and "cap_add" not in service)
    assert service.get("read_only", False) == (name not in OF_ELASTIC)


@ALL
def test_everything_has_limits_a_restart_policy_and_a_health_check(
    name: str, service: Service
) -> None:
    assert re.match(r"^\d+[mg]$", service["deploy"]["resources"]["limits"]["memory"])
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    check = service["healthcheck"]
    assert check == {"disable": True} if name in ONE_SHOT else check["test"][0].startswith("CMD")


@ALL
def test_what_is_built_here_is_asked_of_no_registry(name: str, service: Service) -> None:
    is_ours = service["image"].startswith("devops-portal")
    assert service.get("pull_policy") == ("never" if is_ours else None)


def test_the_web_server_may_end_its_requests_before_it_is_killed() -> None:
    given = int(services()["portal"]["stop_grace_period"].removesuffix("s"))
    assert given > gunicorn_conf.graceful_timeout


@pytest.mark.parametrize("name", ["prepare", "portal", "worker", "beat"])
def test_what_the_portal_writes_by_itself_lies_on_a_volume(name: str) -> None:
    writable = {target for _, target, is_writable in mounts(services()[name]) if is_writable}
    assert str(Path(services()[name]["environment"]["AUTH_LOG_FILE"]).parent) in writable


@ALL
def test_no_port_is_reachable_from_elsewhere(name: str, service: Service) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert service.get("network_mode") in (None, "none")


def test_published_ports_do_not_collide() -> None:
    published = [p.split(":")[1] for s in services().values() for p in s.get("ports", ())]
    assert len(published) == len(set(published))


@ALL
def test_every_mounted_file_is_in_the_repository_and_read_only(name: str, service: Service) -> None:
    volumes = compose()["volumes"]
    for source, _target, writable in mounts(service):
        if is_path(source):
            assert not writable
            assert source == "/" or files.repository_file(source).exists()
        else:
            assert source in volumes


def test_every_declared_volume_is_used_and_every_anchor_resolved() -> None:
    used = {source for s in services().values() for source, _, _ in mounts(s)}
    assert set(compose()["volumes"]) - used == set()
    assert set(compose()) <= {
        "name",
        "services",
        "networks",
        "volumes",
        *(k for k in compose() if k[:2] == "x-"),
    }


@ALL
def test_dependencies_are_there_whenever_the_service_is(name: str, service: Service) -> None:
    for wanted, how in service.get("depends_on", {}).items():
        other = services()[wanted]
        assert profiles(other) <= profiles(service)
        condition = how["condition"]
        assert condition == (
            "service_completed_successfully" if wanted in ONE_SHOT else "service_healthy"
        )


def test_dependencies_have_no_circle() -> None:
    left = {name: set(service.get("depends_on", {})) for name, service in services().items()}
    while ready := [name for name, needs in left.items() if not needs]:
        left = {name: needs - set(ready) for name, needs in left.items() if name not in ready}
    assert left == {}


@ALL
def test_no_secret_is_written_in_the_file(name: str, service: Service) -> None:
    for variable, value in service.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN|_KEYS?(_|$)|DATABASE_URL|REDIS_URL", variable):
            assert variable.endswith("FILE")
            assert value.startswith("/run/secrets/")


@ALL
def test_every_secret_that_is_named_is_in_a_volume_of_that_service(
    name: str, service: Service
) -> None:
    made = files.script("make_secrets").VOLUMES
    sources = [source for source, target, _ in mounts(service) if target == "/run/secrets"]
    there = {file for source in sources for file in made[source].files}
    text = f"{service.get('environment')} {service.get('command')} {service.get('healthcheck')}"
    assert set(re.findall(r"/run/secrets/([\w.]+)", text)) <= there


def test_the_portal_gets_only_variables_that_the_documentation_explains() -> None:
    page = (BASE_DIR / "docs" / "configuration.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)`", page, re.M))
    for name in ("prepare", "portal", "worker", "beat"):
        given = services()[name]["environment"]
        assert {n if n in documented else n.removesuffix("_FILE") for n in given} <= documented


def test_all_roles_of_the_portal_have_the_same_configuration() -> None:
    own = {"WEB_CONCURRENCY", "PROMETHEUS_MULTIPROC_DIR", "PORTAL_READY_FILE", "PORTAL_SUPERVISED"}
    found = [
        {k: v for k, v in services()[name]["environment"].items() if k not in own}
        for name in ("prepare", "portal", "worker", "beat")
    ]
    assert all(one == found[0] for one in found)


def test_what_is_off_is_not_configured_and_the_full_stack_is() -> None:
    lines = (files.DOCKER / "full.env").read_text().splitlines()
    full = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(full.pop("COMPOSE_PROFILES").split(",")) == {"dashboards", "logs", "traces"}
    on = compose(**full)["services"]["worker"]["environment"]
    off = services()["worker"]["environment"]
    for name, value in full.items():
        assert off[name] == ""
        assert on[name] == value


def test_the_web_server_may_be_asked_by_the_names_its_neighbours_use() -> None:
    hosts = services()["portal"]["environment"]["ALLOWED_HOSTS"].split(",")
    webhook = (files.DOCKER / "alertmanager" / "alertmanager.yml").read_text()
    assert "http://portal:8000/" in webhook
    assert {"portal", "localhost", "127.0.0.1"} <= set(hosts)


def test_every_file_of_the_stack_is_described() -> None:
    page = (BASE_DIR / "docs" / "docker.md").read_text()
    folders = {path.name for path in Path(files.DOCKER).iterdir() if path.name != "__pycache__"}
    assert {name for name in folders if f"`{name}" not in page} == set()
    assert {name for name in services() if f"`{name}`" not in page} == set()
