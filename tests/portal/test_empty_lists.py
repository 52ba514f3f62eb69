"""Lists that hold nothing say what would stand there, or that the filters leave nothing."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from portal.empty_lists import SENTENCES
from tests.factories import make_service, sign_in

pytestmark = pytest.mark.django_db
NEVER_LISTED = {"auth.User", "auth.Group"}  # never empty


def test_each_list_of_the_portal_has_its_words() -> None:
    assert {model._meta.label for model in admin.site._registry} - NEVER_LISTED == set(SENTENCES)


@pytest.mark.parametrize("label", ["alerts.Silence", "monitoring.Check", "security.AllowEntry"])
def test_an_empty_list_says_what_would_stand_there(client: Client, label: str) -> None:
    sign_in(client)
    app, model = label.lower().split(".")
    page = client.get(reverse(f"admin:{app}_{model}_changelist")).text
    assert all(words in page for words in SENTENCES[label])
    assert "Nothing matches" not in page


def test_a_search_without_result_says_so_and_leads_back(client: Client) -> None:
    sign_in(client)
    make_service()
    page = client.get(reverse("admin:core_service_changelist"), {"q": "no-such"}).text
    assert "No service matches the search." in page
    assert "Clear search and filters" in page


def test_moments_in_lists_name_their_zone(client: Client) -> None:
    user = sign_in(client)
    user.last_login = user.date_joined.replace(microsecond=0)
    user.save()
    page = client.get(reverse("admin:auth_user_changelist")).text
    assert f"{user.last_login:%Y-%m-%d %H:%M:%S} UTC" in page


def test_a_row_is_named_as_it_is_written_and_its_page_reports_no_error(client: Client) -> None:
    sign_in(client)
    page = client.get(make_service(name="iPhone shop").get_absolute_url()).text
    assert "iPhone shop" in page
    assert "IPhone" not in page
    assert "correct the error" not in page
