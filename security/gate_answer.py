"""What the gate learned about the current request, for whoever comes after it."""

from contextvars import ContextVar
from dataclasses import dataclass

API_RULE = "1200/minute"


@dataclass(frozen=True, slots=True)
class Answer:
    """`wait` is 0 while the rate limit allows the request; None when it was not counted."""

    block: tuple[int, str] | None = None
    wait: int | None = None
    is_first_refusal: bool = False
    knows_client: bool = False


answer: ContextVar[Answer | None] = ContextVar("portal_gate_answer", default=None)


def current() -> Answer | None:
    """Return what was learned; None outside of a request, or when Redis could not be asked."""
    return answer.get()
