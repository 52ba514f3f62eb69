"""One query answers for session, user and factor; whatever disagrees is asked of the database again."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY
from pytest_django import DjangoAssertNumQueries

from security.models import RecoveryDevice, Session, TotpDevice
from security.session_store import SessionStore
from tests.factories import make_session, make_user, sign_in

pytestmark = pytest.mark.django_db
PAGE = "/nowhere/"


def who(client: Client) -> Any:
    """Return the user of a request, with the state of its factor."""
    return client.get(PAGE).wsgi_request.user


def change(key: str, **data: Any) -> None:
    store = SessionStore(key)
    store.update(data)
    store.save()


def test_session_user_and_factor_take_one_query(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user = sign_in(client)
    client.get(PAGE)  # what is read once per process has been read
    with django_assert_num_queries(1) as queries:
        request: Any = client.get(PAGE).wsgi_request
        assert (request.user, request.user.is_verified()) == (user, True)
    assert "seed" not in queries.captured_queries[0]["sql"]


def test_the_row_says_whose_session_it_is() -> None:
    user = make_user()
    row = Session.objects.get(session_key=make_session(user))
    assert (row.user, row.device) == (user, TotpDevice.objects.get(user=user))
    store = SessionStore()
    store.create()
    anonymous = Session.objects.get(session_key=store.session_key)
    assert (anonymous.user, anonymous.device) == (None, None)
    assert anonymous.get_decoded() == {}


def test_a_set_of_recovery_codes_is_a_factor_as_well(client: Client) -> None:
    user = sign_in(client)
    codes = RecoveryDevice.objects.create(user=user, name="Recovery codes", confirmed=True)
    change(client.cookies[settings.SESSION_COOKIE_NAME].value,
           **{DEVICE_ID_SESSION_KEY: codes.persistent_id})  # fmt: skip
    assert who(client).otp_device == codes


@pytest.mark.parametrize("end", ["deactivated", "new password", "forged proof", "another user"])
def test_a_session_that_disagrees_is_nobodys(client: Client, end: str) -> None:
    user = sign_in(client)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    if end == "deactivated":
        user.is_active = False
    elif end == "new password":
        user.set_password("another password altogether")
    elif end == "forged proof":
        change(key, **{HASH_SESSION_KEY: "0" * 64})
    else:
        change(key, **{SESSION_KEY: str(make_user().pk)})
    user.save()
    assert not who(client).is_authenticated


def test_a_factor_that_is_gone_or_anothers_verifies_nobody(client: Client) -> None:
    user = sign_in(client)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    other = TotpDevice.objects.get(user=make_user())
    change(key, **{DEVICE_ID_SESSION_KEY: other.persistent_id})
    assert not who(client).is_verified()
    sign_in(client, user)
    TotpDevice.objects.filter(user=user).delete()
    assert (who(client), who(client).is_verified()) == (user, False)


def test_who_is_deleted_meanwhile_makes_no_session_hang(client: Client) -> None:
    user = sign_in(client)
    store = SessionStore(client.cookies[settings.SESSION_COOKIE_NAME].value)
    store.load()
    user.delete()
    store.cycle_key()
    client.cookies[settings.SESSION_COOKIE_NAME] = str(store.session_key)
    assert not who(client).is_authenticated


def test_a_retired_secret_key_still_opens_a_session(client: Client, settings: Any) -> None:
    user = sign_in(client)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "newest" * 10, [settings.SECRET_KEY]
    assert who(client) == user
