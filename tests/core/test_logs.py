"""Refused requests in the log: one line with the reason and no stack; a failure keeps its stack."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from portal.core import request_context
from portal.core.logs import EcsFormatter, NoSecrets, RefusalsInOneLine
from portal.telemetry import logging_configuration
from security import tokens
from tests.factories import make_user, sign_in

Lines = Any  # a function that gives the decoded lines


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Give what a handler of ours writes of Django's own records."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(EcsFormatter())
    handler.addFilter(RefusalsInOneLine())
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logger.removeHandler(handler)


def test_every_handler_writes_refusals_in_one_line() -> None:
    made = logging_configuration("INFO", json=True, file="x.jsonl", logstash="tcp://logs:5000")
    assert [handler["filters"] for handler in made["handlers"].values()] == [
        ["refusals", "secrets"]
    ] * 3
    assert made["filters"]["refusals"]["()"].endswith(RefusalsInOneLine.__name__)
    assert made["filters"]["secrets"]["()"].endswith(NoSecrets.__name__)


@pytest.mark.django_db
def test_a_forbidden_page_is_one_line_without_a_stack(client: Client, lines: Lines) -> None:
    sign_in(client, make_user(is_superuser=False))
    assert client.get("/admin/security/flag/").status_code == 403
    (line,) = lines()
    assert line["log.level"] == "warning"
    assert "/admin/security/flag/" in line["message"]
    assert "error.stack_trace" not in line


@pytest.mark.django_db
def test_a_forbidden_call_of_the_api_is_one_line_with_its_reason(lines: Lines) -> None:
    _, token = tokens.create(user=make_user(), name="ci", scopes=["read"], actor=None)
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().post("/api/v1/blocks/", headers=headers).status_code == 403
    (line,) = lines()
    assert "lacks the scope 'security:write'" in line["message"]
    assert token not in json.dumps(line)


@pytest.mark.parametrize(
    "status, has_stack", [(403, False), (400, False), (500, True), (None, True)]
)
def test_only_a_failure_of_the_code_keeps_its_stack(
    status: int | None, has_stack: bool, lines: Lines
) -> None:
    extra = {} if status is None else {"status_code": status}
    try:
        raise PermissionError("the reason\nin words")
    except PermissionError:
        logging.getLogger("django.request").warning("Refused: %s", "/x", extra=extra, exc_info=True)
    (line,) = lines()
    assert ("error.stack_trace" in line) == has_stack
    assert has_stack or line["message"] == "Refused: /x (the reason in words)"


@pytest.mark.parametrize("said", ["100% of /enrol/{}/", "/enrol/%2f{}/?a=%41"])
def test_a_secret_is_taken_out_and_the_rest_of_the_line_stays_as_it_was(said: str) -> None:
    token = "dop_enrol_" + "A" * 32
    record = logging.makeLogRecord({"msg": "Gone: %s", "args": (said.format(token),)})
    assert NoSecrets().filter(record)
    assert record.getMessage() == "Gone: " + said.format("[redacted]")


def test_a_line_names_the_request_it_belongs_to() -> None:
    record = logging.makeLogRecord({"msg": "said", "levelname": "INFO"})
    with request_context.use(request_context.Context(request_id="r1")):
        inside = json.loads(EcsFormatter().format(record))
    assert inside["http.request.id"] == "r1"
    assert "http.request.id" not in json.loads(EcsFormatter().format(record))
