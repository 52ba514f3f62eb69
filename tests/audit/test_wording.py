"""What an action is called in a sentence."""

import re
from pathlib import Path

import pytest

from audit.wording import phrase

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"


@pytest.mark.parametrize(
    "action, said",
    [
        ("alert.acknowledged", "Alert acknowledged"), ("auth.login_failed", "Login failed"),
        ("auth.logout", "Logout"), ("mfa.enrolled", "Second factor enrolled"), ("mfa.failed", "Code refused"),
        ("ratelimit.exceeded", "Rate limit exceeded"), ("object.updated", "Object updated"),
        ("payment.card.refunded", "Payment card refunded"), ("integration.test_failed", "Connection test failed"),
    ],
)  # fmt: skip
def test_an_action_is_said_in_words(action: str, said: str) -> None:
    assert phrase(action) == said


def test_an_object_is_called_by_its_kind_and_a_failure_is_said_once() -> None:
    assert phrase("object.created", noun="scrape target") == "Scrape target created"
    assert phrase("error.resolved", failed=True) == "Error resolved (failed)"
    assert phrase("auth.login_failed", failed=True) == "Login failed"


def test_every_documented_action_is_said_without_code() -> None:
    documented = set(
        re.findall(r"`([a-z]+\.[a-z_]+)`", DOCS.read_text().partition("## Actions")[2])
    )
    assert len(documented) > 60
    for action in documented:
        assert re.fullmatch(r"[A-Z][A-Za-z -]+", phrase(action)), action
