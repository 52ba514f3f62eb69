"""What is taken out of texts, and that hostile texts cost no more than others."""

import time

import pytest

from audit import redaction

LENGTH = 20_000


@pytest.mark.parametrize(
    "written, kept",
    [
        ("postgresql://u:hunter2@db/x", "postgresql://[redacted]@db/x"),
        (f"{'x' * 50}http://u:hunter2@db/", f"{'x' * 50}http://[redacted]@db/"),
        (f"Bearer eyJ{'a' * 20}.{'b' * 20}.sig", "Bearer [redacted]"),
        (f"sent dop_pat_{'a' * 38}", "sent [redacted]"),
        ("see https://shop.example/orders", "see https://shop.example/orders"),
    ],
)
def test_secrets_are_taken_out_and_the_rest_stays(written: str, kept: str) -> None:
    assert redaction.text(written) == kept


@pytest.mark.parametrize("repeated", ["y", "a.b-", "eyJ", "eyJ.", "dop_a", "-----BEGIN ", "http:"])
def test_the_work_is_in_proportion_to_the_length(repeated: str) -> None:
    """A repeat that is tried from each place would take tens of seconds here, for one text."""
    text = (repeated * LENGTH)[:LENGTH]
    began = time.process_time()
    assert redaction.text(text) == text
    assert time.process_time() - began < 1
