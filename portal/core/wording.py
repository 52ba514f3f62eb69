"""Formats numbers as text for people: durations and clock skew (pure)."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

SKEW_LIMIT_SECONDS = 30


def duration(seconds: float) -> str:
    """Return a duration in its largest whole unit: "15 s", "5 min", "1 d"; parts of a second as "0.3 s"."""
    for length, unit in _UNITS:
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"


def skewed(seconds: float | None, *, whose: str = "Its clock") -> str:
    """Describe a clock skew (a server's clock minus ours); empty when it is small."""
    if seconds is None or abs(seconds) <= SKEW_LIMIT_SECONDS:
        return ""
    side = "ahead of" if seconds > 0 else "behind"
    return f"{whose} is {abs(seconds):.0f} s {side} the portal's. Synchronise both with NTP."
