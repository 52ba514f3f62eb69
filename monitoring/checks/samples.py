"""Reads the values of an instant query, and finds those that break a condition (pure)."""

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MAX_SAMPLES = 1000
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


class SampleError(ValueError):
    """The answer has no values to compare; the message is a full sentence."""


@dataclass(frozen=True, slots=True)
class Sample:
    labels: dict[str, str]
    value: float

    def __str__(self) -> str:
        name = self.labels.get("__name__", "")
        pairs = ", ".join(
            f'{key}="{value}"' for key, value in sorted(self.labels.items()) if key != "__name__"
        )
        written = f"{name}{{{pairs}}}" if pairs else name
        return f"{written[:200] or 'The value'} is {self.value:g} and"


def samples(data: Any) -> list[Sample]:
    """Return the values of a vector or scalar. Raises SampleError when there are none, or too many.

    An empty result must not count as success: an expression that finds nothing proves nothing.
    """
    kind = data.get("resultType") if isinstance(data, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if kind == "scalar":
        result = [{"metric": {}, "value": result}]
    elif kind != "vector" or not isinstance(result, list):
        raise SampleError(
            f"The expression returns a {kind or 'malformed answer'}, not single values. Remove the [range],"
            " or wrap it in a function such as rate() or last_over_time()."
        )
    if len(result) > MAX_SAMPLES:
        raise SampleError(
            f"The expression returns {len(result):,} series; at most {MAX_SAMPLES:,} are allowed. Aggregate them,"
            " for example with min() or max()."
        )
    found = [sample for item in result if (sample := _sample(item)) is not None]
    if not found:
        raise SampleError(
            "The expression returns no value, so the status is unknown. A comparison such as `> 5` removes values:"
            " leave it out here, and set it as the condition; or check that the metric exists."
        )
    return found


def _sample(item: Any) -> Sample | None:
    try:
        value = float(item["value"][1])
        labels = {str(key): str(text) for key, text in item["metric"].items()}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    return None if math.isnan(value) else Sample(labels, value)


def failing(found: Iterable[Sample], comparison: str, threshold: float) -> list[Sample]:
    """Return the values for which the comparison with `threshold` does not hold."""
    holds = _COMPARE[comparison]
    return [sample for sample in found if not holds(sample.value, threshold)]
