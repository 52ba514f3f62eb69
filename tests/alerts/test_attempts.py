"""What an answer means: delivered, another try, or the end; and how long to wait."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import attempts
from alerts.attempts import Attempt

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SMTP = "(550, b'5.1.1 No such user')"


@pytest.mark.parametrize(
    "attempt, retryable, words",
    [
        (Attempt(True, 200, "ok"), False, "Accepted with HTTP 200. It said: ok"),
        (Attempt(False, 429), True, "rate limit was reached"),
        (Attempt(False, 503), True, "failed with HTTP 503"),
        (Attempt(False, 408), True, "failed with HTTP 408"),
        (Attempt(False, 302), False, "redirects"),
        (Attempt(False, 401), False, "Enter a valid one"),
        (Attempt(False, 404), False, "Enter a valid one"),
        (
            Attempt(False, 400, "no_text"),
            False,
            "rejected the message (HTTP 400). It said: no_text",
        ),
        (Attempt(False, timed_out=True), True, "did not answer in time"),
        (Attempt(False, words=SMTP), False, "rejected it with 550"),
        (Attempt(False, words="(451, b'later')"), True, "rejected it with 451"),
        (Attempt(False, words="Connection refused"), True, "Check host and port"),
        (Attempt(False, words="never asked.", refused=True), False, "Not sent"),
    ],
)
def test_verdicts(attempt: Attempt, retryable: bool, words: str) -> None:
    verdict = attempts.judge(attempt, now=NOW)
    assert verdict.delivered is attempt.delivered
    assert verdict.retryable is retryable
    assert words in verdict.sentence


@pytest.mark.parametrize(
    "header, seconds",
    [
        ("", None),
        ("120", 120),
        ("0.5", 0.5),
        ("-3", None),
        ("999999999", 3600),
        ("nonsense", None),
        ("nan", None),
        ("Wed, 04 Mar 2026 12:01:00 GMT", 60),
        ("Wed, 04 Mar 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    found = attempts.retry_after(header, now=NOW)
    assert found == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "tried, hours, hopeless", [(1, 0, False), (7, 5.9, False), (8, 0, True), (1, 6, True)]
)
def test_a_message_is_given_up_after_eight_attempts_or_six_hours(
    tried: int, hours: float, hopeless: bool
) -> None:
    queued = NOW - timedelta(hours=hours)
    assert attempts.should_give_up(tried, queued_at=queued, now=NOW) is hopeless


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_busy_service_asks_for_is_waited(status: int) -> None:
    said = Attempt(False, status, retry_after="120")
    assert attempts.judge(said, now=NOW).wait == timedelta(seconds=120)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_wait_grows_and_stays_within_bounds(failures: int, jitter: float) -> None:
    wait = attempts.backoff(failures, jitter=lambda: jitter)
    assert attempts.FIRST_WAIT / 2 <= wait <= attempts.LONGEST_WAIT
    assert attempts.backoff(failures + 1, jitter=lambda: jitter) >= wait


@given(st.text(max_size=60))
def test_no_header_makes_it_fail(header: str) -> None:
    found = attempts.retry_after(header, now=NOW)
    assert found is None or timedelta(0) <= found <= attempts.LONGEST_RETRY_AFTER
