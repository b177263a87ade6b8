"""A story before `ebpftop findings`: it is played, and the command runs in the middle.

    python -m tests.support.incidents.told refused

In namespaces of its own. Exit status 3 and the reason where this host lacks what the story needs.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from tests.support.commands import ebpftop
from tests.support.incidents import apart
from tests.support.incidents.rehearsal import CANNOT
from tests.support.incidents.stage import CannotBePlayed, Stage
from tests.support.incidents.story import stories

BEFORE = 1.0
"""Seconds for which it is played before the command starts."""
_INSIDE = "--inside"


def text(finding: dict[str, Any]) -> str:
    """All that a finding says, for the patterns of `story.Expected`."""
    share = "" if finding["share"] is None else f"{100 * finding['share']:.1f}% of {finding['of']}"
    who = [str(value) for one in finding["who"] for value in one.values()]
    where = [str(value) for value in finding["where"].values() if value is not None]
    counted = [one["text"] for one in finding["evidence"]]
    return "  ".join([finding["id"], finding["what"], share, *who, *where, *counted])


def alarms(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for f in told["findings"] if (f["severity"], f["state"]) == ("alarm", "now")]


def _played(name: str) -> dict[str, Any]:
    """What was said of it: the command's object, and its exit status."""
    story = stories()[name]
    with Stage() as stage:
        story.play(stage)
        time.sleep(BEFORE)
        done = ebpftop("findings", "--json", "--for", "3")
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "status": done.returncode}


def told(name: str) -> dict[str, Any] | str:
    """What the command says of a story; why it cannot be played here."""
    done = apart.call("tests.support.incidents.told", _INSIDE, name, timeout=90)
    if done.returncode == CANNOT:
        return done.stdout.strip()
    assert done.returncode == 0, done.stdout
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def _inside(name: str) -> int:
    try:
        print(json.dumps(_played(name)))
    except CannotBePlayed as lack:
        print(lack)
        return CANNOT
    return 0


if __name__ == "__main__":
    if sys.argv[1] == _INSIDE:
        sys.exit(_inside(sys.argv[2]))
    said = told(sys.argv[1])
    print(said if isinstance(said, str) else "\n".join(map(text, said["findings"])))
