"""Defines a finding of the examination (pure): the state of one thing, and how to fix it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


ORDER = (Level.FAIL, Level.WARN, Level.OK)


@dataclass(frozen=True, slots=True)
class Finding:
    """`sentence` describes the state, `cure` what to do; `cure` is empty when nothing needs doing."""

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
