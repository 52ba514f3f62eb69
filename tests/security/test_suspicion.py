"""What scanners do becomes entries of the trail: strangers' refusals and words of attacks, a few a minute."""

import json

import pytest
from django.test import Client

from security import suspicion, tokens
from security.audit_events import event_of
from security.rules.engine import RULES, run
from tests.conftest import Trail
from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db(transaction=True)
SCANNER = {"scanner": RULES["scanner"].defaults}


def test_a_stranger_who_asks_for_what_is_not_there_is_found_to_be_a_scanner(trail: Trail) -> None:
    for number in range(10):
        assert Client().get(f"/nothing-{number}/", REMOTE_ADDR="192.0.2.7").status_code == 404
    entries = [entry for entry in trail() if entry.action == "input.rejected"]
    assert [entry.url_path for entry in entries] == [f"/nothing-{n}/" for n in range(10)]
    (found,) = run([event for e in entries if (event := event_of(e))], SCANNER)
    assert (found.subject, found.counts["paths"]) == ("192.0.2.7", 10)


def test_words_of_an_attack_are_named_and_the_query_is_not_stored(trail: Trail) -> None:
    Client().get("/admin/login/?id=1+union+select+secret1", REMOTE_ADDR="192.0.2.7")
    (entry,) = [entry for entry in trail() if entry.action.startswith("input.")]
    assert (entry.action, entry.data["signal"]) == ("input.suspicious", "sqli")
    assert "secret1" not in json.dumps([entry.url_path, entry.reason, entry.data])


def test_a_few_of_an_address_are_recorded_in_a_minute(trail: Trail) -> None:
    for _ in range(suspicion.PER_MINUTE + 10):
        Client().get("/nothing/", REMOTE_ADDR="192.0.2.7")
    Client().get("/nothing/", REMOTE_ADDR="192.0.2.8")
    addresses = [entry.source_ip for entry in trail() if entry.action == "input.rejected"]
    assert addresses == [*["192.0.2.7"] * suspicion.PER_MINUTE, "192.0.2.8"]
    now = suspicion._counts["192.0.2.7"][0]
    assert not suspicion.may_record("192.0.2.7", now=now + 59)
    assert suspicion.may_record("192.0.2.7", now=now + 60)


def test_people_and_tokens_make_mistakes(client: Client, trail: Trail) -> None:
    sign_in(client)
    written = tokens.create(user=make_user(), name="t", scopes=["read"])[1]
    bearer = Client(headers={"Authorization": f"Bearer {written}"})
    for asking in (client, bearer):
        assert asking.get("/api/v1/nothing/").status_code == 404
    assert not [entry for entry in trail() if entry.action.startswith("input.")]
