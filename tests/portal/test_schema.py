"""The OpenAPI document tells a client developer what each operation does."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

Operations = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def operations() -> Operations:
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }


def test_every_operation_has_a_short_summary_and_a_description(operations: Operations) -> None:
    assert len(operations) > 100
    for name, operation in operations.items():
        summary = operation["summary"]
        assert 0 < len(summary) <= 90, (name, summary)
        assert not summary.endswith("."), (name, summary)
        assert operation["description"], name


@pytest.mark.parametrize(
    ("operation", "summary"),
    [
        ("silences_destroy", "Expire a silence now"),
        ("audit_entries_create", "Write audit entries"),
        ("upstreams_create", "Create an upstream"),
        ("rules_partial_update", "Update an alert rule"),
        ("dashboard_retrieve", "Get the dashboard"),
        ("tokens_list", "List API tokens"),
    ],
)
def test_a_summary_is_of_the_method_the_model_or_the_view(
    operations: Operations, operation: str, summary: str
) -> None:
    assert operations[operation]["summary"] == summary
