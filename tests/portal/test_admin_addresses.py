"""Addresses of the admin that name no row, and accounts that may see nothing."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db
MODELS = sorted(f"{m._meta.app_label}_{m._meta.model_name}" for m in admin.site._registry)


@pytest.mark.parametrize("written", ["abc", "9" * 30, "-1", "%00"])
@pytest.mark.parametrize("model", MODELS)
def test_an_address_that_names_no_row_is_not_an_error(model: str, written: str) -> None:
    client = Client()
    sign_in(client)
    reply = client.get(reverse(f"admin:{model}_changelist") + f"{written}/change/")
    assert reply.status_code in (302, 403, 404)


@pytest.mark.parametrize("model", MODELS)
def test_an_account_without_permissions_sees_no_list(model: str) -> None:
    client = Client()
    sign_in(client, make_user(is_superuser=False))
    assert client.get(reverse(f"admin:{model}_changelist")).status_code == 403


def test_the_rule_file_is_given_to_those_who_may_see_rules() -> None:
    client = Client()
    url = reverse("admin:monitoring_rule_changelist") + "export/"
    sign_in(client, make_user(is_superuser=False))
    assert client.get(url).status_code == 403
    sign_in(client)
    assert client.get(url).status_code == 200
