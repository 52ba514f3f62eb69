"""What an examination says of one thing (pure): how it is, what is wrong, and what cures it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


ORDER = (Level.FAIL, Level.WARN, Level.OK)


@dataclass(frozen=True, slots=True)
class Finding:
    """`sentence` says how it is, `cure` what to do; nothing to do, no cure."""

    thing: str
    level: Level
    sentence: str
    cure: str = ""

    @property
    def text(self) -> str:
        return f"{self.sentence} {self.cure}".strip()


def ok(thing: str, sentence: str) -> Finding:
    return Finding(thing, Level.OK, sentence)


def warn(thing: str, sentence: str, cure: str = "") -> Finding:
    return Finding(thing, Level.WARN, sentence, cure)


def fail(thing: str, sentence: str, cure: str = "") -> Finding:
    return Finding(thing, Level.FAIL, sentence, cure)
