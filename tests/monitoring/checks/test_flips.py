"""When a check flips: tables of answers, and what holds for any of them."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.checks.flips import CheckState, Flip, FlipPolicy, NextState, ProbeResult, decide

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERY = timedelta(seconds=30)
LETTERS = {"u": "up", "g": "degraded", "d": "down", "?": "unknown"}


def run(answers: str, *, start: str = "up", policy: FlipPolicy | None = None) -> list[NextState]:
    """Feed one answer per letter, 30 s apart."""
    known = CheckState(start, T0, last_run_at=T0)
    steps = []
    for number, letter in enumerate(answers, start=1):
        at = T0 + EVERY * number
        step = decide(known, ProbeResult(LETTERS[letter]), policy or FlipPolicy(), at=at)
        steps.append(step)
        known = CheckState(step.status, step.since, step.pending_count, at)
    return steps


def statuses(steps: list[NextState]) -> str:
    return "".join(next(k for k, v in LETTERS.items() if v == s.status) for s in steps)


@pytest.mark.parametrize(
    ("start", "answers", "expected"),
    [
        pytest.param("up", "uuu", "uuu", id="nothing-happens"),
        pytest.param("up", "ddu", "uuu", id="two-failures-wake-nobody"),
        pytest.param("up", "ddd", "uud", id="the-third-flips"),
        pytest.param("up", "dudud", "uuuuu", id="failures-must-be-in-a-row"),
        pytest.param("up", "dgd", "uud", id="any-trouble-counts-and-the-last-one-names-it"),
        pytest.param("down", "u", "u", id="one-good-answer-recovers"),
        pytest.param("down", "g", "g", id="better-is-a-recovery-too"),
        pytest.param("degraded", "ddd", "ggd", id="worse-needs-patience-again"),
        pytest.param("up", "???", "uu?", id="not-being-able-to-ask-becomes-unknown"),
        pytest.param("down", "??u", "ddu", id="unknown-answers-are-no-recovery"),
        pytest.param("unknown", "u", "u", id="a-new-check-is-up-at-once"),
        pytest.param("unknown", "ddd", "??d", id="a-new-check-is-not-down-at-once"),
    ],
)
def test_status_after_answers(start: str, answers: str, expected: str) -> None:
    assert statuses(run(answers, start=LETTERS.get(start, start))) == expected


def test_a_flip_tells_when_and_why() -> None:
    known = CheckState("up", T0, pending_count=2, last_run_at=T0)
    step = decide(known, ProbeResult("down", "HTTP 500."), FlipPolicy(), at=T0 + EVERY)
    assert step.flips == (Flip("up", "down", T0 + EVERY, "HTTP 500."),)
    assert (step.since, step.pending_count) == (T0 + EVERY, 0)


def test_time_in_which_nobody_asked_is_unknown() -> None:
    late = T0 + timedelta(hours=2)
    step = decide(CheckState("up", T0, last_run_at=T0), ProbeResult("up"), FlipPolicy(), at=late)
    assert [(flip.old, flip.new, flip.at) for flip in step.flips] == [
        ("up", "unknown", T0 + EVERY),
        ("unknown", "up", late),
    ]


@given(st.text("ugd?", max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_flips_are_a_chain_and_never_more_than_answers(
    answers: str, failures: int, recoveries: int
) -> None:
    steps = run(answers, policy=FlipPolicy(failures, recoveries))
    chain = [flip for step in steps for flip in step.flips]
    assert len(chain) <= len(answers)
    assert all(flip.old != flip.new for flip in chain)
    assert all(a.new == b.old for a, b in itertools.pairwise(chain))


@given(st.text("ugd?", min_size=5, max_size=40))
def test_with_a_patience_of_one_the_status_is_the_last_answer(answers: str) -> None:
    assert statuses(run(answers, policy=FlipPolicy(1, 1))) == answers
