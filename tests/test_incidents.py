"""The bench of incidents: its stories are found, and it reads what is on the screen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.overview_reading import Case, Others, reading
from tests.support.incidents.story import PARTS, Expected, stories

SCREENS = Path(__file__).parents[1] / "snapshots/screens"
EXPECTED = Expected(what="XDP", who="xdp_filter", where="eth1", belongs="eth1")


def _screen(name: str) -> str:
    lines = (SCREENS / name).read_text().splitlines()
    return "\n".join(line.partition("│")[0] for line in lines)


def test_there_are_thirty_incidents_and_ten_calm_workloads() -> None:
    calm = [s for s in stories().values() if s.calm]
    assert len(calm) >= 10
    assert len(stories()) - len(calm) >= 30
    assert sum(s.quick and not s.calm for s in stories().values()) == 10


@pytest.mark.parametrize("name", stories())
def test_a_story_says_what_is_expected(name: str) -> None:
    story = stories()[name]
    assert story.title
    assert story.tool
    assert story.calm == name.startswith("calm_")
    if story.expected:
        for part in (*PARTS, "belongs"):
            re.compile(getattr(story.expected, part))
        assert not story.expected.names("")


def test_a_case_names_its_cause_by_all_its_parts() -> None:
    assert EXPECTED.names("Interfaces  eth1  7.8k/s  XDP xdp_filter#412 6.6k/s")
    assert EXPECTED.lacks("eth1 drops 7.8k/s") == ["what", "who", "share"]
    assert not EXPECTED.names("eth1 drops 7.8k/s")
    assert EXPECTED.is_of("eth1 drops 7.8k/s")
    assert not EXPECTED.is_of("futex ETIMEDOUT")


def test_cases_are_read_off_the_screen_in_order_with_their_marks() -> None:
    seen = reading(_screen("overview-80x24.txt"))
    assert EXPECTED.names(seen.cases[0].text), seen.cases
    assert seen.cases[0].marked
    some = reading(_screen("overview-200x60.txt"))
    assert {c.marked for c in some.cases} == {True, False}


def test_a_calm_screen_has_no_verdict_and_nothing_marked() -> None:
    seen = reading(_screen("overview-calm-120x40.txt"))
    assert seen.verdict == ""
    assert seen.cases
    assert seen.marked() == []


def test_rows_of_other_users_of_the_machine_are_told_apart() -> None:
    others = Others()
    others.look()
    here = Path("/proc/self/ns/net").stat().st_ino
    assert others.made(Case(True, f"Interfaces  if3 (netns {here + 1})  12/s  NO_SOCKET"))
    assert others.made(Case(True, "Connects  192.0.2.1:80  12/s  refused, by python[0]"))
    assert not others.made(Case(True, f"Interfaces  if3 (netns {here})  12/s  NO_SOCKET"))
    assert not others.made(Case(True, "Connects  192.0.2.1:80  12/s  by init[1]"))
    assert not others.made(Case(True, "Interfaces  eth1  12/s  NO_SOCKET"))
