"""The table of ticks and the tasks behind it: each exists, is short, and is dropped when it comes too late."""

import inspect
from typing import Any

import pytest

from portal.celery import TICKS, app

OURS = ("alerts.", "audit.", "monitoring.", "portal.", "security.")


def tasks() -> dict[str, Any]:
    app.loader.import_default_modules()
    return {name: task for name, task in app.tasks.items() if name.startswith(OURS)}


@pytest.mark.parametrize("tick", TICKS)
def test_a_tick_starts_a_task_that_exists_and_expires(tick: str) -> None:
    name, seconds = TICKS[tick]
    assert name in tasks()
    entry = app.conf.beat_schedule[tick]
    assert (entry["task"], entry["schedule"]) == (name, seconds)
    assert entry["options"]["expires"] >= seconds


def test_a_task_is_short_takes_ids_only_and_expires() -> None:
    found = tasks()
    assert len(found) >= len({name for name, _seconds in TICKS.values()})
    wrong = []
    for name, task in found.items():
        lines = inspect.getsource(task.run).splitlines()
        kinds = [
            parameter.annotation for parameter in inspect.signature(task.run).parameters.values()
        ]
        if len(lines) - 1 > 10 or set(kinds) - {int} or not task.expires:
            wrong.append((name, len(lines), kinds, task.expires))
    assert wrong == []
