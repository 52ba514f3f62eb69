"""Every filter of errors and deploys finds its rows by an index of its own, at size."""

import json
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from monitoring.api_checks import DeployFilter
from monitoring.errors.filters import ErrorIssueFilter
from monitoring.models import Deploy, ErrorIssue
from tests.factories import make_sentry, make_service

pytestmark = pytest.mark.django_db
ROWS = 20_000


def indexes(rows: QuerySet[Any]) -> set[str]:
    """Return the indexes a page of `rows` is read by; "none" stands for a table read as a whole."""

    def walk(plan: dict[str, Any]) -> set[str]:
        own = {"none"} if plan["Node Type"] == "Seq Scan" else {plan.get("Index Name", "")}
        return own.union(*(walk(inner) for inner in plan.get("Plans", []))) - {""}

    return walk(json.loads(rows[:51].explain(format="json"))[0]["Plan"])


def fill(statement: str, owner: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [owner, ROWS])
        cursor.execute("ANALYZE monitoring_deploy, monitoring_errorissue")


def test_deploys() -> None:
    fill(
        "INSERT INTO monitoring_deploy (uid, service_id, version, environment, revision, url, description, actor,"
        " at, recorded_at) SELECT gen_random_uuid(), %s, 'v' || n, CASE WHEN n %% 5000 = 0 THEN 'rare' ELSE 'prod'"
        " END, '', '', '', '', now() - n * interval '1 minute', now() FROM generate_series(1, %s) n",
        make_service().pk,
    )
    expected = {
        ("version", "v77"): "deploy_by_version",
        ("environment", "rare"): "deploy_by_environment",
        ("environment", "nowhere"): "deploy_by_environment",
    }
    for (name, value), index in expected.items():
        rows = DeployFilter({name: value}, Deploy.objects.order_by("-at", "-id")).qs
        assert indexes(rows) == {index}, (name, value)


def test_errors() -> None:
    fill(
        "INSERT INTO monitoring_errorissue (upstream_id, issue_id, short_id, project, title, culprit, level, platform,"
        " status, substatus, count, user_count, assigned_to, permalink, trend, raw, content_hash, raw_hash,"
        " first_seen_at, last_seen_at) SELECT %s, n::text, '', 'shop', 'title', '', CASE WHEN n %% 5000 = 0 THEN"
        " 'fatal' ELSE 'error' END, '', 'unresolved', CASE WHEN n %% 5000 = 1 THEN 'regressed' ELSE 'ongoing' END, 1,"
        " 1, CASE WHEN n %% 5000 = 2 THEN 'ada' ELSE '' END, '', '[]', '{}', '', '', now(),"
        " now() - n * interval '1 minute' FROM generate_series(1, %s) n",
        make_sentry().pk,
    )
    expected = {
        ("assigned_to", "ada"): "error_issue_by_assignee",
        ("assigned_to", "nobody"): "error_issue_by_assignee",
        ("substatus", "regressed"): "error_issue_by_substatus",
        ("level", "fatal"): "error_issue_by_level",
        ("issue_id", "77"): "error_issue_by_id",
        ("project", "none"): "error_issue_by_project",
    }
    for (name, value), index in expected.items():
        rows = ErrorIssueFilter(
            {name: value}, ErrorIssue.objects.order_by("-last_seen_at", "-id")
        ).qs
        assert indexes(rows) == {index}, (name, value)
