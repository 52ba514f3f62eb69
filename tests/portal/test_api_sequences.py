"""Sequences of requests: what is made, changed and deleted in any order is read as it was answered.

FUZZ_EXAMPLES says how many sequences are tried; CONTRIBUTING.md explains it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from security import tokens
from tests.factories import make_user

pytestmark = pytest.mark.django_db
JSON: Any = {"content_type": "application/json"}
SEQUENCES = int(os.environ.get("FUZZ_EXAMPLES") or 10)
STEPS = 25
# Few, so that they meet again; each is also the last number of an address.
NAMES = ("11", "12", "13")
VOLATILE = {"lag_seconds", "last_used_at", "last_used_ip"}


@dataclass(frozen=True)
class Kind:
    """How one kind of row is made from a name, and changed.

    `again`: what a second POST of the same answers; `gone`: what a GET answers after DELETE, and
    `twice`: what a second DELETE does.
    """

    body: Callable[[str], dict[str, Any]]
    change: tuple[str, Callable[[str], dict[str, Any]]] | None = None
    again: tuple[int, ...] = (400,)
    gone: int = 404
    twice: int = 404
    key: str = "id"


def block(name: str) -> dict[str, Any]:
    return {
        "kind": "address",
        "value": f"192.0.2.{name}",
        "reason": "scan",
        "duration_seconds": 600,
    }


KINDS: dict[str, Kind] = {
    "services": Kind(lambda n: {"slug": n, "name": n}, ("patch", lambda n: {"team": n}), key="slug"),
    "channels": Kind(lambda n: {"name": n, "url": "json://127.0.0.1:9/x"}, ("patch", lambda n: {"enabled": n > "11"})),
    "routes": Kind(
        lambda n: {"name": n, "matchers": [f'team="{n}"']},
        ("patch", lambda n: {"matchers": [f'team=~"{n}|x"'], "position": int(n)}),
    ),
    "audit/filters": Kind(
        lambda n: {"name": n, "query": {"group": "auth"}},
        ("put", lambda n: {"name": n, "query": {"actor": n}, "shared": True}),
    ),
    "siem-destinations": Kind(
        lambda n: {"name": n, "url": f"syslog+tcp://siem-{n}"}, ("patch", lambda n: {"max_bytes": 2000 + int(n)})
    ),
    "allow-list": Kind(lambda n: {"kind": "address", "value": f"198.51.100.{n}", "reason": "ours"}),
    "blocks": Kind(
        block, ("put", lambda n: {"reason": n, "duration_seconds": 6000}), again=(201,), gone=200, twice=409,
    ),
    "tokens": Kind(lambda n: {"name": n, "scopes": ["read"]}, again=(201,), gone=200, twice=204),
}  # fmt: skip
KIND, NAME = st.sampled_from(sorted(KINDS)), st.sampled_from(NAMES)


class Api(RuleBasedStateMachine):
    """`live` holds for each kind and name what the API last answered of it."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = transaction.atomic()
        self.frame.__enter__()
        written = tokens.create(user=make_user(), name="sequence", scopes=["admin"])[1]
        self.client = Client(headers={"Authorization": f"Bearer {written}"})
        self.live: dict[tuple[str, str], dict[str, Any]] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.frame.__exit__(None, None, None)

    def url(self, kind: str, row: dict[str, Any]) -> str:
        return f"/api/v1/{kind}/{row[KINDS[kind].key]}/"

    def listed(self, kind: str) -> list[Any]:
        rows = self.client.get(f"/api/v1/{kind}/?page_size=500").json()["results"]
        return [row[KINDS[kind].key] for row in rows]

    @rule(kind=KIND, name=NAME)
    def make(self, kind: str, name: str) -> None:
        answer = self.client.post(f"/api/v1/{kind}/", KINDS[kind].body(name), **JSON)
        wanted = KINDS[kind].again if (kind, name) in self.live else (201,)
        assert answer.status_code in wanted, answer.content
        if answer.status_code == 201:
            self.live[kind, name] = answer.json()

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        kind, name = data.draw(st.sampled_from(sorted(self.live)))
        known = {k: v for k, v in self.live[kind, name].items() if k not in VOLATILE | {"token"}}
        found = self.client.get(self.url(kind, known)).json()
        assert {k: v for k, v in found.items() if k not in VOLATILE} == known

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        kind, name = data.draw(st.sampled_from(sorted(self.live)))
        if (how := KINDS[kind].change) is not None:
            url = self.url(kind, self.live[kind, name])
            answer = getattr(self.client, how[0])(url, how[1](name), **JSON)
            assert answer.status_code == 200, answer.content
            self.live[kind, name] = answer.json()

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        kind, name = data.draw(st.sampled_from(sorted(self.live)))
        url, how = self.url(kind, self.live.pop((kind, name))), KINDS[kind]
        codes = [self.client.delete(url).status_code, self.client.get(url).status_code]
        assert [*codes, self.client.delete(url).status_code] == [204, how.gone, how.twice]

    @rule(kind=KIND)
    def listing(self, kind: str) -> None:
        keys = self.listed(kind)
        assert len(keys) == len(set(keys))
        live = {row[KINDS[kind].key] for (k, _name), row in self.live.items() if k == kind}
        assert live == set(keys) if KINDS[kind].gone == 404 else live <= set(keys)

    @rule(kind=KIND)
    def csv(self, kind: str) -> None:
        answer: Any = self.client.get(f"/api/v1/{kind}/?format=csv")
        lines = b"".join(answer.streaming_content).decode().splitlines()
        assert len(lines) - 1 == len(self.listed(kind))


def test_what_was_answered_is_what_is_read_whatever_was_asked_before() -> None:
    run_state_machine_as_test(
        Api,
        settings=settings(
            max_examples=SEQUENCES, stateful_step_count=STEPS, deadline=None, database=None,
            derandomize="FUZZ_EXAMPLES" not in os.environ, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
