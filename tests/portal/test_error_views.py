"""Pages of errors: each says what happened and what to do, and leads back."""

from collections.abc import Callable

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory

from portal import error_views
from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/nowhere/", "/admin/nowhere/"])
def test_an_unknown_address_leads_back_to_the_dashboard(client: Client, path: str) -> None:
    sign_in(client)
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is no page at this address." in answer.text
    assert 'href="/admin/"' in answer.text
    assert answer["X-Request-Id"] in answer.text


def test_who_may_not_see_a_page_is_told_so(client: Client) -> None:
    sign_in(client, make_user(is_superuser=False))
    answer = client.get("/admin/alerts/alert/")
    assert (answer.status_code, "Your account is not allowed" in answer.text) == (403, True)


def test_a_form_without_its_token_is_told_how_to_be_sent(client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/admin/login/", {"username": "a", "password": "b"})
    assert (answer.status_code, "reload the page" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError(), 500, "An error occurred in the portal"),
        (OperationalError(), 503, "cannot reach"),
    ],
)
def test_a_fault_and_an_outage_need_no_database(
    error: Exception, status: int, said: str, django_assert_num_queries: Callable[..., object]
) -> None:
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        answer = _answer_to(error)
    assert (answer.status_code, said in answer.text) == (status, True)


def _answer_to(error: Exception) -> HttpResponse:
    try:
        raise error
    except type(error):
        return error_views.server_error(RequestFactory().get("/admin/"))
