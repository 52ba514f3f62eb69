"""Numbers in words: lengths of time, clocks."""

import pytest

from portal.core import wording
from portal.core.wording import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.3, "0.3 s"), (0.9923, "0.992 s"), (15, "15 s"), (60, "1 min"), (90, "90 s"), (3600, "1 h"),
     (5400, "90 min"), (86_400, "1 d"), (100_001, "100001 s")],
)  # fmt: skip
def test_a_length_of_time_in_its_largest_whole_unit(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    "seconds, words",
    [(None, ""), (0, ""), (30, ""), (-30, ""), (31, "31 s ahead of"), (-3600, "3600 s behind")],
)
def test_a_clock(seconds: float | None, words: str) -> None:
    said = wording.skewed(seconds)
    assert words in said
    assert bool(said) == bool(words)
