"""Flags and the services they concern: from the evidence, through names that change, to who may see it."""

import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import services as audit
from audit.services import Target
from portal.core import request_context
from portal.core.models import Service
from portal.core.request_context import Actor, Context
from security import detection, flag_services, flags, tokens
from security.models import DetectorCursor, Flag, FlagService, SeenClient
from security.rules.finding import Finding
from tests import streams
from tests.factories import make_flag, make_service, make_user, sign_in
from tests.locks import somebody_waits
from tests.stack import until

pytestmark = pytest.mark.django_db(transaction=True)
FLAGS = "/api/v1/flags/"


@pytest.fixture(autouse=True)
def begin_here() -> Iterator[None]:
    DetectorCursor.objects.all().delete()
    detection._followers.clear()
    detect()
    yield
    detection._followers.clear()


def detect() -> None:
    """Let the rules read everything that is committed by now."""
    streams.settled()
    detection.run()


def bearer(written: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {written}"})


def bearer_of(service: Service | None = None, *scopes: str) -> Client:
    wanted = list(scopes or ["read"])
    return bearer(tokens.create(user=make_user(), name="t", scopes=wanted, service=service)[1])


def slugs_of(flag: Flag) -> list[str]:
    return [slug for slug, _service in flag_services.of(flag)]


def export(*slugs: str, by: str = "7") -> None:
    """Record an export of the data of each service, by one account."""
    with request_context.use(Context(actor=Actor("user", by, f"user-{by}"))):
        for slug in slugs:
            audit.record("data.exported", target=Target("api.alert"), data=audit.service_data(slug))


def shown(client: Client, slug: str) -> list[str]:
    answer = client.get(f"/api/v1/services/{slug}/timeline/?kind=flag").json()
    return [event["title"] for event in answer["results"]]


def test_a_stolen_token_of_a_service_is_flagged_in_the_timeline_of_that_service() -> None:
    shop, _other = make_service(slug="shop"), make_service(slug="other")
    client = bearer_of(shop)
    for address in ("192.0.2.1", "198.51.100.1"):
        client.get("/api/v1/services/", REMOTE_ADDR=address)
    assert SeenClient.objects.count() == 2
    detect()
    (flag,) = Flag.objects.filter(rule="token_new_client")
    assert (slugs_of(flag), flag.evidence[0]["service"]) == (["shop"], "shop")
    reader = bearer_of(None, "admin")
    assert (len(shown(reader, "shop")), shown(reader, "other")) == (1, [])


def test_what_the_token_of_a_service_was_refused_concerns_the_service() -> None:
    make_service(slug="other")
    client = bearer_of(make_service(slug="shop"))
    for _ in range(14):
        assert client.post("/api/v1/checks/", {}).status_code == 403
    detect()
    assert slugs_of(Flag.objects.get(rule="scanner")) == ["shop"]


def test_carrying_out_the_data_of_services_concerns_each_of_them(client: Client) -> None:
    sign_in(client)
    for slug in ("shop", "basket", "till"):
        make_service(slug=slug)
    for path, slug in (("alerts", "shop"), ("timeline", "basket"), ("alerts", "nobody")):
        for _ in range(4):
            client.get(f"/api/v1/{path}/?format=csv&service={slug}")
    detect()
    flag = Flag.objects.get(rule="mass_export")
    assert slugs_of(flag) == ["basket", "shop"]  # of what is in no catalogue there is no timeline


def test_evidence_that_comes_while_the_flag_is_open_adds_its_services() -> None:
    for slug in ("shop", "basket", "till"):
        make_service(slug=slug)
    export(*["shop"] * 10)
    detect()
    flag = Flag.objects.get(rule="mass_export")
    assert slugs_of(flag) == ["shop"]
    export("basket", *[""] * 60, "till")  # of which the evidence keeps the newest fifty
    detect()
    assert slugs_of(flag) == ["basket", "shop", "till"]
    assert "basket" not in {fact["service"] for fact in Flag.objects.get().evidence}


def test_two_workers_name_the_services_once() -> None:
    make_service(slug="shop")
    export(*["shop"] * 40)
    streams.settled()

    def work(_number: int) -> None:
        try:
            detection.run()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    detect()
    assert FlagService.objects.count() == 1


def test_a_replay_names_them_too_and_writes_nothing() -> None:
    make_service(slug="shop")
    since = timezone.now()
    export(*["shop"] * 10, "elsewhere")
    body = {"since": since.isoformat(), "rules": ["mass_export"]}
    client = bearer_of(None, "security:write")
    found = client.post("/api/v1/detections/replay/", body, "application/json").json()["findings"]
    assert found[0]["services"] == ["elsewhere", "shop"]
    assert not FlagService.objects.exists()


def test_a_service_with_another_slug_keeps_its_flags() -> None:
    shop, reader = make_service(slug="shop"), bearer_of(None, "admin")
    one, both = make_flag(services=["shop"]), make_flag(services=["shop", "store"])
    Service.objects.filter(pk=shop.pk).update(slug="store")
    assert (slugs_of(one), slugs_of(both)) == (["store"], ["store"])
    assert len(shown(reader, "store")) == 2


def test_a_service_that_is_renamed_meanwhile_waits_for_the_flag(another_connection: Any) -> None:
    make_service(slug="shop")
    flag, rename = make_flag(), "UPDATE core_service SET slug = 'store'"
    another_connection.execute("SET lock_timeout = '200ms'")
    with transaction.atomic():
        flag_services.name(flag, ["shop"])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            another_connection.execute(rename)
    another_connection.execute(rename)
    assert slugs_of(flag) == ["store"]


def test_a_rename_and_a_flag_that_grows_do_not_wait_in_a_circle(another_connection: Any) -> None:
    make_service(slug="shop")
    flag = make_flag(services=["shop"], score=50)
    more = Finding(rule=flag.rule, subject_kind=flag.subject_kind, subject=flag.subject, score=50, counts={},
                   first_at=1.0, last_at=2.0, evidence=(), sentence="More.", services=("shop",))  # fmt: skip

    def grow() -> Flag:
        try:
            return flags.open_or_extend(more)
        finally:
            connection.close()

    another_connection.execute("BEGIN")
    another_connection.execute("UPDATE core_service SET slug = 'store'")
    with ThreadPoolExecutor(1) as pool:
        grown = pool.submit(grow)  # has the flag, and waits for the service
        until(somebody_waits, "nobody waits")
        another_connection.execute("COMMIT")  # looks whether the flag is there
        assert grown.result(30) == flag
    assert slugs_of(flag) == ["store"]


def test_a_deleted_service_stays_named(client: Client) -> None:
    sign_in(client)
    flag = make_flag(services=["gone", "shop"])
    shop = make_service(slug="shop", name="The shop")
    make_service(slug="gone").delete()
    page = client.get(flag.get_absolute_url()).content.decode()
    assert f'gone, <a href="{shop.get_absolute_url()}">The shop</a>' in page
    assert client.get(f"{FLAGS}?service=gone").json()["results"][0]["id"] == flag.pk
    flag.delete()
    assert not FlagService.objects.exists()


def test_flags_are_listed_by_service_in_the_api_and_in_the_admin(client: Client) -> None:
    sign_in(client)
    make_service(slug="shop", name="The shop")
    ours, _theirs = make_flag(services=["till", "shop"]), make_flag(services=["other"])
    (row,) = client.get(f"{FLAGS}?service=shop").json()["results"]
    assert (row["id"], row["services"]) == (ours.pk, ["shop", "till"])
    assert client.get(f"{FLAGS}{ours.pk}/").json()["services"] == ["shop", "till"]
    page = client.get("/admin/security/flag/?service=shop").content.decode()
    assert (ours.sentence in page, "The shop" in page, "of other" in page) == (True, True, False)
    for hostile in ("%00", "nobody", "x" * 300):
        for path in ("/admin/security/flag/", FLAGS):
            assert client.get(f"{path}?service={hostile}").status_code in (200, 400)


@pytest.mark.parametrize(
    "path", ["/admin/security/flag/?service=shop", f"{FLAGS}?service=shop", FLAGS]
)
def test_lists_cost_the_same_for_few_and_many(client: Client, path: str) -> None:
    sign_in(client)
    counts = []
    for number in (1, 30):
        for _ in range(number):
            make_flag(services=["shop", "till", f"more-{number}"])
        client.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("role", "sees"), [("viewer", False), ("auditor", True)])
def test_no_door_of_a_service_shows_flags_to_whom_they_are_closed(role: str, sees: bool) -> None:
    flag, shop = make_flag(services=["shop"]), make_service(slug="shop")
    user = make_user(is_superuser=False)
    user.groups.add(Group.objects.get(name=role))
    session = Client()
    sign_in(session, user)
    token = bearer(tokens.create(user=user, name="t", scopes=["read"])[1])
    pages = ("/admin/timeline/?service=shop", shop.get_absolute_url())
    for client in (session, token):
        assert (client.get(f"{FLAGS}?service=shop").status_code == 200) is sees
        assert bool(shown(client, "shop")) is sees
    for path in pages:
        assert (flag.sentence in session.get(path).content.decode()) is sees, path


def test_the_timeline_of_a_service_reads_an_index() -> None:
    rows = FlagService.objects.filter(slug="shop").order_by("-opened_at", "-flag_id")[:50]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        plan = rows.explain()
    assert "flag_service_timeline" in plan
    assert "Sort" not in plan


def test_what_was_there_before_is_judged_by_its_evidence() -> None:
    shop, entry = make_service(slug="shop"), audit.record("data.exported", data={"service": "shop"})
    fact = {"id": entry.pk, "at": type(entry).objects.get(pk=entry.pk).recorded_at.isoformat()}
    flag, other = make_flag(evidence=[fact]), make_flag()
    user = make_user()
    for name, scopes in (("shop", ["audit:write"]), ("shop", ["admin"]), ("ci", ["audit:write"])):
        tokens.create(user=user, name=name, scopes=scopes)
    fill = importlib.import_module("security.migrations.0012_services_of_what_is_there")
    with connection.cursor() as cursor:
        for _again in range(2):  # a worker of this version may have been first
            cursor.execute(fill.TOKENS + fill.FLAGS)
    assert (slugs_of(flag), slugs_of(other)) == (["shop"], [])
    assert [token.scopes for token in user.api_tokens.filter(service=shop)] == [["audit:write"]]
