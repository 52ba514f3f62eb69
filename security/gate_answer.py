"""Stores the gate's decision about the current request, for the code that runs after it."""

from contextvars import ContextVar
from dataclasses import dataclass

API_RULE = "1200/minute"


@dataclass(frozen=True, slots=True)
class GateDecision:
    """`block` is (id, kind). `wait` is the seconds to wait, 0 within the rate limit, None when not counted."""

    block: tuple[int, str] | None = None
    wait: int | None = None
    is_first_refusal: bool = False
    knows_client: bool = False


decision: ContextVar[GateDecision | None] = ContextVar("portal_gate_answer", default=None)


def current() -> GateDecision | None:
    """Return the decision; None outside of a request, or when Redis was down."""
    return decision.get()
