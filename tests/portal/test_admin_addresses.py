"""Addresses of the admin that name no row, and accounts that may see nothing."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db
MODELS = sorted(f"{m._meta.app_label}_{m._meta.model_name}" for m in admin.site._registry)


@pytest.mark.parametrize("written", ["abc", "9" * 30, "-1", "%00", "²"])
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


@pytest.mark.parametrize("name", ["q", "severity", "service", "status", "o", "p"])
@pytest.mark.parametrize("model", MODELS)
def test_a_filter_with_a_nul_is_refused_in_words(model: str, name: str) -> None:
    client = Client()
    sign_in(client)
    reply = client.get(reverse(f"admin:{model}_changelist") + f"?{name}=a%00b")
    assert reply.status_code == 400
    assert "could not be read" in reply.text


@pytest.mark.parametrize("query", ["p=abc", "p=99999999999999999999", "o=99.-99", "status=none-such",
                                   "service__id__exact=abc", "enabled__exact=perhaps", "id__in=a"])  # fmt: skip
@pytest.mark.parametrize("model", MODELS)
def test_a_filter_that_says_nothing_is_no_error(model: str, query: str) -> None:
    client = Client()
    sign_in(client)
    assert client.get(reverse(f"admin:{model}_changelist") + f"?{query}").status_code < 500


@pytest.mark.parametrize("model", MODELS)
def test_a_filter_that_was_left_out_is_told(model: str) -> None:
    client = Client()
    sign_in(client)
    reply = client.get(reverse(f"admin:{model}_changelist") + "?nosuch=1", follow=True)
    assert "is invalid, so the list is shown without filters" in reply.text


def test_the_rule_file_is_given_to_those_who_may_see_rules() -> None:
    client = Client()
    url = reverse("admin:monitoring_rule_changelist") + "export/"
    sign_in(client, make_user(is_superuser=False))
    assert client.get(url).status_code == 403
    sign_in(client)
    assert client.get(url).status_code == 200


@pytest.mark.parametrize(
    "written",
    ["alerts_silence state", "security_flag status", "security_flag severity", "security_block state",
     "monitoring_errorissue status", "alerts_notification time"],
)  # fmt: skip
def test_a_choice_that_no_filter_has_is_told(written: str) -> None:
    client = Client()
    sign_in(client)
    model, name = written.split()
    reply = client.get(reverse(f"admin:{model}_changelist") + f"?{name}=no-such", follow=True)
    assert "is invalid, so the list is shown without filters" in reply.text
