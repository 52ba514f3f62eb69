"""Lengths of time in words."""

import pytest

from portal.core.wording import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.3, "0.3 s"), (0.9923, "0.992 s"), (15, "15 s"), (60, "1 min"), (90, "90 s"), (3600, "1 h"),
     (5400, "90 min"), (86_400, "1 d"), (100_001, "100001 s")],
)  # fmt: skip
def test_a_length_of_time_in_its_largest_whole_unit(seconds: float, said: str) -> None:
    assert duration(seconds) == said
