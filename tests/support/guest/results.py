"""JUnit files -> what each test, rung and situation gave on one kernel."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from xml.etree import ElementTree

RUNG_ID = re.compile(r"\[([\w-]+):([\w-]+)")
PLAIN = "plain root"
"""The situation in which nothing stands in the way."""


class Outcome(IntEnum):
    """What one test gave; where several tests are of one rung, the highest is shown."""

    ABSENT = 0
    SKIPPED = 1
    REFUSED = 2
    OK = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Result:
    """One test on one kernel. rung: "hook rung", or "" for a test that is of none.

    situation: what stood in the way, or "". stands: "hook@target" -> the rung that its ladder
    came to in that situation. obstacle: what ebpftop said of it.
    """

    test: str
    file: str
    rung: str
    outcome: Outcome
    detail: str = ""
    situation: str = ""
    stands: Mapping[str, str] = field(default_factory=dict)
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One kernel. trouble: why there are no results at all, if there are none.

    versions: of the kernel and of the packages that were used there.
    """

    name: str
    release: str
    seconds: float = 0.0
    results: tuple[Result, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    def ladders(self, situation: str) -> Mapping[str, str]:
        """Where every ladder came to an end in a situation: "hook@target" -> rung."""
        found: dict[str, str] = {}
        for result in self.results:
            if result.situation == situation:
                found |= result.stands
        return found

    def chosen(self) -> set[str]:
        """The rungs ("hook rung") that ladders choose where nothing stands in the way."""
        return {_rung(id, rung) for id, rung in self.ladders(PLAIN).items()}

    def reached(self) -> set[str]:
        """The rungs ("hook rung") that some ladder came to by itself, in any situation."""
        return {_rung(id, rung) for r in self.results for id, rung in r.stands.items()}


def _rung(id: str, rung: str) -> str:
    return f"{id.partition('@')[0]} {rung}"


def read(junit: Path) -> tuple[tuple[Result, ...], dict[str, str]]:
    """Results and versions in one JUnit file. Raises OSError, ElementTree.ParseError."""
    tree = ElementTree.parse(junit)
    cases = tuple(_result(case) for case in tree.iter("testcase"))
    versions = {
        p.get("name", ""): p.get("value", "") for p in tree.iterfind(".//testsuite/properties/*")
    }
    return cases, versions


def _result(case: ElementTree.Element) -> Result:
    name, place = case.get("name", ""), case.get("classname", "")
    said = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
    by_id = RUNG_ID.search(name)
    hook = said.get("hook") or (by_id[1] if by_id else "")
    rung = said.get("rung") or (by_id[2] if by_id else "")
    outcome, detail = _outcome(case, said)
    return Result(
        name,
        place.rpartition(".")[2],  # classname is the path with dots: tests.kernel.test_rungs
        f"{hook} {rung}".strip(),
        outcome,
        detail,
        said.get("situation", ""),
        json.loads(said.get("stands", "{}")),
        said.get("obstacle", ""),
    )


def _outcome(case: ElementTree.Element, said: dict[str, str]) -> tuple[Outcome, str]:
    for tag in ("failure", "error"):
        if (bad := case.find(tag)) is not None:
            return Outcome.FAILED, " ".join(bad.get("message", "").split())
    if refused := said.get("refused"):
        return Outcome.REFUSED, refused
    if (skipped := case.find("skipped")) is not None:
        return Outcome.SKIPPED, skipped.get("message", "")
    return Outcome.OK, said.get("count", "")
