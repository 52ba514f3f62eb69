"""Implements Prometheus's template functions for values (pure), as far as a preview needs them.

https://prometheus.io/docs/prometheus/latest/configuration/template_reference/#numbers
"""

import math
from collections.abc import Callable


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _of_number(write: Callable[[float], str]) -> Callable[[str], str]:
    """Wrap `write` for use on text; anything but a finite number is returned unchanged."""

    def written(text: str) -> str:
        value = _number(text)
        return text if value is None else write(value)

    return written


def humanize(value: float) -> str:
    """Return four significant digits with a metric prefix."""
    if value == 0:
        return "0"
    if abs(value) >= 1:
        prefixes, step = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"], 1 / 1000
    else:
        prefixes, step = ["", "m", "u", "n", "p", "f", "a", "z", "y"], 1000.0
    return _scaled(value, prefixes, step)


def humanize1024(value: float) -> str:
    if abs(value) <= 1:
        return f"{value:.4g}"
    return _scaled(value, ["", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"], 1 / 1024)


def _scaled(value: float, prefixes: list[str], step: float) -> str:
    number = 0
    while number < len(prefixes) - 1 and (abs(value) * step >= 1 if step < 1 else abs(value) < 1):
        value, number = value * step, number + 1
    return f"{value:.4g}{prefixes[number]}"


def humanize_duration(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{_scaled(seconds, ['', 'm', 'u', 'n'], 1000.0) if seconds else '0'}s"
    sign, whole = ("-" if seconds < 0 else ""), int(abs(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {whole % 60}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {whole % 60}s"
    if minutes:
        return f"{sign}{minutes}m {whole % 60}s"
    return f"{seconds:.4g}s"


FUNCTIONS: dict[str, Callable[[str], str]] = {
    "humanize": _of_number(humanize),
    "humanize1024": _of_number(humanize1024),
    "humanizeDuration": _of_number(humanize_duration),
    "humanizePercentage": _of_number(lambda value: f"{value * 100:.4g}%"),
    "toUpper": str.upper,
    "toLower": str.lower,
}
