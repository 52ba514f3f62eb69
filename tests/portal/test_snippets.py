"""The page of snippets: filled in, with a token that is shown once."""

import pytest
from django.test import Client

from portal.snippets import DEPLOY, ENVIRONMENT, LANGUAGES, render
from security.models import ApiToken
from tests.factories import make_service, make_user, sign_in

pytestmark = pytest.mark.django_db


def test_every_snippet_names_the_service_and_leaves_no_hole() -> None:
    service = make_service(slug="shop-7")
    for snippet in (*LANGUAGES["Node.js"], *LANGUAGES["Python"], DEPLOY):
        text = render(snippet, service)
        assert "shop-7" in text, snippet
        assert "{{" not in text.replace("${{", ""), snippet
    assert "PORTAL_TOKEN=<create a token" in render(ENVIRONMENT, service)


def test_a_token_is_made_and_shown_once(client: Client) -> None:
    sign_in(client)
    make_service(slug="shop")
    page = client.post("/admin/services/shop/snippets/", follow=True).content.decode()
    token = ApiToken.objects.get(name="shop")
    assert set(token.scopes) == {"audit:write", "monitoring:write"}
    assert f"PORTAL_TOKEN={token.hint}" in page
    assert token.hint not in client.get("/admin/services/shop/snippets/").content.decode()


def test_what_is_printed_is_text_and_no_markup(client: Client) -> None:
    sign_in(client)
    make_service(slug="shop")
    page = client.get("/admin/services/shop/snippets/").content.decode()
    assert "PORTAL_TOKEN=&lt;create a token on this page&gt;" in page
    assert "[&quot;method&quot;, &quot;route&quot;" in page


def test_who_may_make_no_token_is_told(client: Client) -> None:
    user = make_user(is_superuser=False)
    sign_in(client, user)
    make_service(slug="shop")
    assert client.get("/admin/services/shop/snippets/").status_code == 403
    assert client.post("/admin/services/shop/snippets/").status_code == 403
    assert client.get("/admin/services/nobody/snippets/").status_code == 403
