"""Codes of actions, and what an entry says of them in ECS and OWASP's words."""

from typing import Any

import pytest

from audit import codes, ecs, services
from audit.admin import FIELDS
from audit.api import AuditEntrySerializer
from audit.models import AuditEntry
from audit.taxonomy import GROUPS, OWASP

COLUMNS = {field.name for field in AuditEntry._meta.concrete_fields}


def test_codes_are_four_digits_and_each_is_of_one_action() -> None:
    assert all(1000 <= number <= 9999 for number in codes.CODES.values())
    assert len(set(codes.CODES.values())) == len(codes.CODES)


def test_the_actions_of_a_group_share_their_first_digits_or_say_so() -> None:
    groups: dict[str, set[int]] = {}
    for action, number in codes.CODES.items():
        groups.setdefault(action.partition(".")[0], set()).add(number // 100)
    assert {group: found for group, found in groups.items() if len(found) > 1} == {}
    assert set(groups) <= set(GROUPS) | {"integration"}


@pytest.mark.parametrize(
    ("action", "code", "kind", "word"),
    [
        ("auth.login_failed", "1002", "event", "authn_login_fail"),
        ("detection.raised", "1801", "alert", None),
        ("permission.denied", "1601", "event", "authz_fail"),
        ("invoice.deleted", "", "event", None),
    ],
)
def test_an_entry_has_code_kind_and_owasp_s_word(
    action: str, code: str, kind: str, word: str | None
) -> None:
    entry = services.build(action)
    document = ecs.document(entry)
    assert (entry.code, entry.kind) == (code, kind)
    assert document.get("event.code", "") == code
    assert document.get("labels.owasp") == word


def test_owasp_s_words_are_those_of_actions_that_exist() -> None:
    assert set(OWASP) <= set(codes.CODES)


def test_every_column_is_shown_by_the_page_the_api_and_the_file() -> None:
    in_page = {name for _title, names in FIELDS for name in names}
    in_api: Any = AuditEntrySerializer.Meta.fields
    assert COLUMNS - in_page == {"trace_id"}  # shown as a link
    assert set(in_api) == COLUMNS
    assert COLUMNS - set(ecs.FIELDS) == {"id", "occurred_at", "recorded_at", "schema_version"}
