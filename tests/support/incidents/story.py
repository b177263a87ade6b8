"""What a story says, and where stories are found: every file of `tests/incidents` is one."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.incidents.stage import Stage

FOLDER = Path(__file__).parents[2] / "incidents"
SINCE = r"\d\d:\d\d:\d\d|\d+ (s|min|h) ago"
"""The moment in which it began, or before which."""
PARTS = ("what", "who", "where", "share")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the first case must say: patterns for its text, in any case of letters; "": anything.

    belongs: rows that this incident makes beside its own, such as the peer's retransmits.
    """

    what: str
    who: str = ""
    where: str = ""
    share: str = r"\d ?%"
    belongs: str = r"(?!)"

    def lacks(self, text: str) -> list[str]:
        """Which parts a text does not say."""
        return [p for p in PARTS if not re.search(getattr(self, p), text, re.IGNORECASE)]

    def names(self, text: str) -> bool:
        """Whether it names the cause; of how much is asked apart."""
        return not set(self.lacks(text)) - {"share"}

    def is_told(self, text: str) -> bool:
        """Whether a row says all of it, and since when."""
        return not self.lacks(text) and bool(re.search(SINCE, text))

    def is_of(self, text: str) -> bool:
        """Whether a row is of this incident, be it only of a part."""
        return self.names(text) or bool(re.search(self.belongs, text, re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class Story:
    """An incident, or a calm workload: then nothing is expected, and nothing may be red.

    happened: an independent count of the cause (`tool`), at least `least` in a second of play.
    """

    title: str
    play: Callable[[Stage], None]
    tool: str
    happened: Callable[[Stage], float]
    expected: Expected | None = None
    least: float = 10
    quick: bool = False
    arguments: tuple[str, ...] = ()

    @property
    def calm(self) -> bool:
        return self.expected is None


@cache
def stories() -> Mapping[str, Story]:
    """All of them, by the names of their files."""
    names = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "__init__")
    return {n: importlib.import_module(f"tests.incidents.{n}").STORY for n in names}
