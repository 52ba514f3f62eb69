"""What sends or writes in the admin is a button: a link does nothing, and neither does a foreign page."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from audit import exports
from portal.core.object_actions import ObjectActionsMixin
from tests.conftest import Trail
from tests.factories import (
    make_alert,
    make_channel,
    make_check,
    make_error,
    make_flag,
    make_upstream,
    make_user,
    sign_in,
)

pytestmark = pytest.mark.django_db
# What unfold draws as a link above a page: only what reads.
LINKS = {("monitoring", "rule", "export")}
MAKERS: dict[str, Callable[[], Any]] = {
    "alert": make_alert,
    "channel": make_channel,
    "check": make_check,
    "errorissue": make_error,
    "exportrecord": lambda: exports.create({}, actor=make_user()),
    "upstream": lambda: make_upstream(url="http://127.0.0.1:9"),
}


def acts() -> list[str]:
    """Return the address of every button there is, each of an object that exists."""
    found = [
        reverse("admin:monitoring_rule_preview"),
        reverse("admin:audit_exportrecord_create"),
        reverse("admin:security_flag_act", args=[make_flag().pk, "confirm"]),
    ]
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, ObjectActionsMixin):
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            row = MAKERS[str(model._meta.model_name)]()
            found += [
                reverse(f"admin:{name}_{word}", args=[row.pk])
                for word in model_admin.object_actions
            ]
    return found


@pytest.fixture
def careful() -> Client:
    client = Client(enforce_csrf_checks=True)
    sign_in(client)
    return client


def test_a_link_to_a_button_does_nothing_and_leads_back(careful: Client, trail: Trail) -> None:
    addresses = acts()
    before = len(trail())
    for address in addresses:
        for answer in (careful.get(address), careful.head(address)):
            assert (answer.status_code, answer["Allow"]) == (405, "POST"), address
        assert b"press the button there" in careful.get(address).content
    assert len(trail()) == before
    assert len(addresses) > 14


def test_a_button_of_a_foreign_page_does_nothing(careful: Client, trail: Trail) -> None:
    addresses = acts()
    before = len(trail())
    assert [careful.post(address).status_code for address in addresses] == [403] * len(addresses)
    assert len(trail()) == before


def test_no_page_draws_an_act_as_a_link() -> None:
    links = {
        (model._meta.app_label, model._meta.model_name, word)
        for model, model_admin in admin.site._registry.items()
        for kind in ("actions_list", "actions_row", "actions_detail", "actions_submit_line")
        for word in getattr(model_admin, kind, None) or ()
    }
    assert links == LINKS


@pytest.mark.parametrize(
    ("maker", "words"),
    [
        (make_check, "Run now"),
        (make_upstream, "Test connection"),
        (make_channel, "Send a test message"),
    ],
)
def test_the_button_is_a_form_with_a_token_outside_of_the_objects_own_form(
    client: Client, maker: Callable[[], Any], words: str
) -> None:
    sign_in(client)
    page = client.get(maker().get_absolute_url()).content.decode()
    before, _, _ = page.partition(f">{words}</button>")
    form = before.rpartition("<form")[2]
    assert 'method="post"' in form
    assert "csrfmiddlewaretoken" in form
    assert before.count("<form") == before.count("</form>") + 1


@pytest.mark.parametrize("maker", [make_check, make_upstream])
def test_who_may_only_look_sees_no_button_and_may_not_press_it(
    client: Client, maker: Callable[[], Any]
) -> None:
    row = maker()
    viewer = make_user(is_superuser=False)
    viewer.groups.add(Group.objects.get(name="viewer"))
    sign_in(client, viewer)
    assert b"portal-act" not in client.get(row.get_absolute_url()).content
    word = "run" if row._meta.model_name == "check" else "test"
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_{word}"
    assert client.post(reverse(name, args=[row.pk])).status_code == 403
