"""Secrets at rest: keys rotate, and a lost key is a sentence."""

import json

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.db import connection
from pytest_django import Settings

from portal.core import crypto
from portal.core.models import Upstream
from tests.factories import make_upstream


def test_a_new_first_key_encrypts_and_the_old_one_still_decrypts(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["old"]
    old = crypto.encrypt("secret")
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), "old"]
    new = crypto.encrypt("secret")
    assert crypto.decrypt(old) == crypto.decrypt(new) == "secret"
    settings.FIELD_ENCRYPTION_KEYS = ["old"]
    with pytest.raises(ValueError, match="Add the old key again"):
        crypto.decrypt(new)


@pytest.mark.django_db
def test_the_database_and_dumps_never_hold_the_plain_text() -> None:
    upstream = make_upstream(credentials={"token": "hunter2"})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row_to_json(u)::text FROM core_upstream u WHERE id = %s", [upstream.pk]
        )
        row = cursor.fetchone()
    assert row is not None
    assert "hunter2" not in row[0]
    assert "hunter2" not in serializers.serialize("json", [upstream])
    assert Upstream.objects.get(pk=upstream.pk).credentials == {"token": "hunter2"}


@pytest.mark.django_db
@pytest.mark.parametrize("empty", [None, {}, ""])
def test_nothing_is_stored_as_nothing(empty: object) -> None:
    upstream = make_upstream(credentials=empty)
    assert not Upstream.objects.get(pk=upstream.pk).credentials


def test_fingerprints_depend_on_purpose_and_key(settings: Settings) -> None:
    first = crypto.fingerprint("token", "value\ud800")
    assert first == crypto.fingerprint("token", "value\ud800")
    assert first != crypto.fingerprint("session", "value\ud800")
    settings.SECRET_KEY = "another"
    assert first != crypto.fingerprint("token", "value\ud800")
    assert len(json.dumps(first)) == 18
