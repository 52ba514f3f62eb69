"""The auditor's list: pages by keyset, filters, saved filters; nothing that changes the trail."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from audit import changelist, read_timeout
from audit.export_models import SavedFilter
from audit.models import AuditEntry
from tests.audit.builders import make_entries
from tests.conftest import Trail
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/audit/auditentry/"


def shown(answer: Any) -> list[int]:
    return [entry.pk for entry in answer.context["cl"].result_list]


def pages(client: Client, url: str, way: str) -> Iterator[list[int]]:
    for _ in range(50):
        answer = client.get(url)
        yield shown(answer)
        link = getattr(answer.context["cl"].paginator, way)
        if not link:
            return
        url = LIST + link


def test_walking_older_and_back_shows_each_entry_once(client: Client, auditor: User) -> None:
    since = timezone.now() + timedelta(hours=1)  # what other tests have left lies before
    make_entries(230, until=since + timedelta(days=1, hours=1), days=1)
    entries = AuditEntry.objects.since(since).order_by("-recorded_at", "-id")
    newest_first = list(entries.values_list("pk", flat=True))
    walked = list(pages(client, f"{LIST}?since={since:%Y-%m-%dT%H:%M}", "older"))
    assert [pk for page in walked for pk in page] == newest_first
    deep = client.get(
        LIST + "?older=" + changelist.place_of(AuditEntry.objects.get(pk=newest_first[-20]))
    )
    back = LIST + deep.context["cl"].paginator.newer
    assert shown(client.get(back)) == newest_first[-69:-19][:50]
    assert list(pages(client, back, "newer"))[-1] == newest_first[:50]


def test_entries_of_one_moment_are_walked_one_by_one_in_both_ways(
    client: Client, auditor: User
) -> None:
    moment = timezone.now() + timedelta(days=1)
    make_entries(120, until=moment, days=0)
    entries = AuditEntry.objects.filter(recorded_at=moment).order_by("-id")
    newest_first = list(entries.values_list("pk", flat=True))
    url = f"{LIST}?since={moment:%Y-%m-%dT%H:%M}"
    walked = list(pages(client, url, "older"))
    assert [pk for page in walked for pk in page] == newest_first
    last = AuditEntry.objects.get(pk=newest_first[-1])
    back = list(pages(client, f"{url}&newer={changelist.place_of(last)}", "newer"))
    assert back[0] == newest_first[-51:-1]
    assert back[-1] == newest_first[:50]


def test_a_deep_page_costs_as_many_queries_and_reads_as_few_rows(
    client: Client, auditor: User, django_assert_num_queries: Any
) -> None:
    make_entries(20_000, until=timezone.now())
    client.get(LIST)
    middle = AuditEntry.objects.order_by("recorded_at")[500]
    entries = AuditEntry.objects.order_by("-recorded_at", "-id")
    deep = changelist._before(entries, middle.recorded_at, middle.pk)[:51]
    plan = deep.explain(analyze=True)
    assert max(int(n) for n in re.findall(r"rows=(\d+)(?:\.\d+)? loops", plan)) <= 60, plan
    with django_assert_num_queries(12, exact=False):
        assert len(shown(client.get(f"{LIST}?older={changelist.place_of(middle)}"))) == 50


@pytest.mark.parametrize(
    "place", ["", "x", "20260230T000000000000-1", "20260101T000000000000-", "\x01"]
)
def test_a_place_that_no_page_gave_is_the_newest_page(
    client: Client, auditor: User, place: str
) -> None:
    assert client.get(LIST, {"older": place}).status_code == 200
    assert changelist.parse_place(place) is None


def test_a_wrong_filter_is_named_and_shows_nothing(client: Client, auditor: User) -> None:
    make_entries(5, until=timezone.now())
    answer = client.get(LIST, {"since": "yesterday", "outcome": "maybe"})
    assert b"From: Write a date, or date and time, such as 2026-01-31 12:00." in answer.content
    assert shown(answer) == []


def test_exchanged_times_are_told_and_nothing_matches(client: Client, auditor: User) -> None:
    answer = client.get(LIST, {"since": "2026-02-01", "until": "2026-01-01"})
    assert "“From” is not before “Until”" in answer.text
    assert "Nothing matches" in answer.text


def test_a_filter_that_is_too_wide_says_what_to_do(client: Client, auditor: User) -> None:
    with mock.patch.object(
        read_timeout, "limited", side_effect=read_timeout.ReadTimeoutError("Narrow it.")
    ):
        answer = client.get(LIST)
    assert b"Narrow it." in answer.content


def test_an_auditor_saves_a_filter_and_finds_it_above_the_list(
    client: Client, auditor: User, trail: Trail
) -> None:
    page = client.get(LIST, {"group": "auth", "outcome": "failure"}).content.decode()
    link = re.search(r'href="(/admin/audit/savedfilter/add/[^"]+)"', page)
    assert link is not None
    form = client.get(link[1].replace("&amp;", "&"))
    assert "group=auth&amp;outcome=failure" in form.content.decode()
    client.post(
        "/admin/audit/savedfilter/add/", {"name": "Failures", "query": "group=auth&outcome=failure"}
    )
    saved = SavedFilter.objects.get()
    assert (saved.owner, saved.query) == (auditor, {"group": "auth", "outcome": "failure"})
    assert "audit.filter_created" in [entry.action for entry in trail()]
    chip = client.get(saved.get_absolute_url()).content.decode()
    assert re.search(r'is-chosen"[^>]*aria-current="true">Failures', chip)


def test_a_query_of_sixty_parameters_is_refused_at_its_field(client: Client, auditor: User) -> None:
    form = {"name": "Many", "query": "group=auth&" * 60}
    page = client.post("/admin/audit/savedfilter/add/", form)
    assert (page.status_code, b"more than 50 parameters" in page.content) == (200, True)


def test_two_who_keep_the_same_name_at_once_are_told_of_a_conflict(
    client: Client, auditor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What both see when they look, before either has written.
    monkeypatch.setattr(SavedFilter, "full_clean", lambda self: None)
    body = {"name": "Failures", "query": {"outcome": "failure"}}
    url = "/api/v1/audit/filters/"
    codes = [client.post(url, body, content_type="application/json").status_code for _ in range(2)]
    assert codes == [201, 409]


def test_a_filter_of_another_is_seen_when_shared_and_never_changed(
    client: Client, auditor: User
) -> None:
    other = make_user()
    query = {"last": "24h"}
    SavedFilter.objects.create(name="mine", owner=other, query=query)
    shared = SavedFilter.objects.create(name="ours", owner=other, query=query, shared=True)
    page = client.get(LIST).content
    assert b">ours" in page
    assert b">mine" not in page
    url = f"/admin/audit/savedfilter/{shared.pk}/change/"
    assert client.post(url, {"name": "x", "query": "last=1h"}).status_code == 403
    assert client.delete(f"/api/v1/audit/filters/{shared.pk}/").status_code == 403


def test_the_api_keeps_filters_too(client: Client, auditor: User) -> None:
    url = "/api/v1/audit/filters/"
    body = {
        "name": "Denied",
        "query": {"action": "permission.denied", "last": "7d"},
        "shared": True,
    }
    made = client.post(url, body, content_type="application/json")
    assert made.status_code == 201
    bad = client.post(url, {**body, "query": {"nonsense": "1"}}, content_type="application/json")
    assert "is not a filter" in bad.json()["detail"]
    again = client.post(url, body, content_type="application/json")
    assert again.status_code == 400
    assert client.get(url).json()["results"][0]["query"] == body["query"]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_an_auditor_cannot_write_the_trail(client: Client, auditor: User, method: str) -> None:
    make_entries(1, until=timezone.now() - timedelta(minutes=1))
    entry = AuditEntry.objects.latest("pk")
    for url in (f"/api/v1/audit/entries/{entry.pk}/", "/api/v1/audit/entries/"):
        assert getattr(client, method)(url).status_code in (403, 405)
    assert client.post(f"{LIST}{entry.pk}/delete/").status_code == 403
    assert client.post(f"{LIST}add/").status_code == 403
