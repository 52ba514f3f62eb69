"""API analytics: the page and the endpoint."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.core.hostile import reply, serving
from tests.factories import make_upstream, make_user, sign_in

pytestmark = pytest.mark.django_db
EMPTY = b'{"status":"success","data":{"resultType":"vector","result":[]}}'


def test_the_page_says_what_is_wrong_and_survives_any_filter(client: Client) -> None:
    sign_in(client)
    make_upstream(kind="prometheus", url="http://127.0.0.1:9")
    for query in ("", "?window=99y&order=x&service=%01", "?window=7d&order=p99&service=shop"):
        page = client.get(f"/admin/analytics/{query}")
        assert (page.status_code, "connection refused" in page.content.decode()) == (200, True)


def test_an_empty_prometheus_gets_a_word_on_what_to_do(client: Client) -> None:
    sign_in(client)
    with serving(reply(EMPTY)) as url:
        make_upstream(kind="prometheus", url=url)
        page = client.get("/admin/analytics/").content.decode()
        body = client.get("/api/v1/analytics/routes/?window=24h").json()
    assert "No service exposes request metrics yet" in page
    assert (body["rows"], body["error"]) == ([], "")


@pytest.mark.parametrize("query", ["window=1y", "order=best", "upstream=nobody"])
def test_wrong_parameters_are_a_problem(client: Client, query: str) -> None:
    sign_in(client)
    assert client.get(f"/api/v1/analytics/routes/?{query}").status_code == 400


def test_an_account_without_the_permission_does_not_see_it(client: Client) -> None:
    user: User = make_user(is_superuser=False)
    sign_in(client, user)
    assert client.get("/admin/analytics/").status_code == 403
