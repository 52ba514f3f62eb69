"""Assesses a delivery attempt (pure): delivered, retryable or failed permanently; and when to retry."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.core.retry import retry_at

MAX_ATTEMPTS = 8
GIVE_UP_AFTER = timedelta(hours=6)
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=15)
# A longer Retry-After is reduced to this; otherwise a provider could mute a channel for days.
LONGEST_RETRY_AFTER = timedelta(hours=1)
CUT_OFF = "The worker of an earlier attempt ended before the answer was recorded: the message may have arrived twice."
_SMTP_CODE = re.compile(r"\(([2-5]\d\d), b?['\"]")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was observed. `status` is from the last HTTP response, `words` is the provider's error text."""

    delivered: bool
    status: int | None = None
    words: str = ""
    retry_after: str = ""
    timed_out: bool = False
    refused: bool = False  # by our address rule (portal.core.sockets)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait` is the Retry-After of the provider; `sentence` is shown in the delivery log."""

    delivered: bool
    retryable: bool
    sentence: str
    wait: timedelta | None = None


def judge(attempt: Attempt, *, now: datetime) -> Verdict:
    """Return whether an attempt should be retried, and a sentence that says what to do.

    The sentence does not promise a retry, because it is also used for test messages, which have none.
    """
    said = f" It said: {attempt.words}" if attempt.words else ""
    if attempt.delivered:
        how = f" with HTTP {attempt.status}" if attempt.status else ""
        return Verdict(True, False, f"Accepted{how}.{said}")
    if attempt.refused:
        return Verdict(False, False, f"Not sent: {attempt.words}")
    if attempt.timed_out:
        return Verdict(False, True, "The service did not answer in time. It may be slow or down.")
    if attempt.status is not None:
        return _of_http(attempt, said, now)
    if code := _SMTP_CODE.search(attempt.words):
        # RFC 5321 4.2.1: 4yz is transient, 5yz is permanent.
        final = code[1].startswith("5")
        advice = (
            "Correct the user, password or addresses in the URL."
            if final
            else "This may be temporary."
        )
        return Verdict(
            False, not final, f"The mail server rejected it with {code[1]}. {advice}{said}"
        )
    return Verdict(False, True, f"The service could not be reached. Check host and port in the URL.{said}")  # fmt: skip


def cut_off_verdict(attempts: int) -> Verdict:
    """Return the verdict on a message whose worker died in each attempt before storing the answer."""
    sentence = (
        f"Given up after {attempts} attempts, because its worker ended each time: it was killed, or ran out of"
        " memory. Check the logs of the worker and of the system."
    )
    return Verdict(False, False, sentence)


def _of_http(attempt: Attempt, said: str, now: datetime) -> Verdict:
    status = attempt.status or 0
    wait = retry_after(attempt.retry_after, now=now)
    if status == 429:
        asked = f" and asks to wait {int(wait.total_seconds())} s" if wait else ""
        return Verdict(
            False, True, f"The service's rate limit was reached (HTTP 429){asked}.{said}", wait
        )
    if status in (408, 425) or status >= 500:
        sentence = f"The service failed with HTTP {status}, which may be temporary.{said}"
        return Verdict(False, True, sentence, wait)
    if 300 <= status < 400:
        return Verdict(
            False, False, f"The service redirects (HTTP {status}). Redirects are not followed, because the message"
            " would go to a server that nobody entered. Use the final address in the URL."
        )  # fmt: skip
    if status in (401, 403, 404, 410):
        return Verdict(False, False, f"The service rejected the address or key in the URL (HTTP {status}). Enter a"
                       f" valid one.{said}")  # fmt: skip
    return Verdict(False, False, f"The service rejected the message (HTTP {status}).{said}")


def retry_after(header: str, *, now: datetime) -> timedelta | None:
    """Return the delay from a Retry-After header, an hour at most; None when it is invalid."""
    until = retry_at({"Retry-After": header}, now=now)
    return None if until is None else min(until - now, LONGEST_RETRY_AFTER)


def backoff(failures: int, *, jitter: Callable[[], float]) -> timedelta:
    """Return the wait after `failures` failures: exponential, at most 15 minutes, half of it jitter.

    `jitter` returns a number from 0 to 1. Without it, channels that failed together would retry together.
    """
    doublings: int = 1 << min(max(failures - 1, 0), 10)
    longest = min(FIRST_WAIT * doublings, LONGEST_WAIT)
    return longest / 2 + longest / 2 * jitter()


def should_give_up(attempts: int, *, queued_at: datetime, now: datetime) -> bool:
    """True when a message has been tried often enough, or is too old to be useful."""
    return attempts >= MAX_ATTEMPTS or now - queued_at >= GIVE_UP_AFTER
