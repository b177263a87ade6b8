"""What was looked up once is kept, and mended where a number belongs to another one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest

from probes.owners import lookups, pids_issued
from probes.owners.lookups import Lookups
from probes.owners.pids_issued import PidsIssued


class _Asked:
    """What is there, and how often it was asked for."""

    def __init__(self) -> None:
        self.there: dict[int, str] = {}
        self.asked: list[int] = []
        self.reissued: list[int] = []
        self.lookups = Lookups(self._find, "nobody", self._others)

    def _find(self, key: int) -> str | None:
        self.asked.append(key)
        return self.there.get(key)

    def _others(self, known: Collection[int]) -> Iterable[int]:
        given, self.reissued = self.reissued, []
        return [key for key in given if key in known]


def test_what_has_gone_keeps_its_answer_and_is_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = _Asked()
    asked.there[7] = "web"
    assert asked.lookups.of_all([7, 8]) == ["web", "nobody"]
    monkeypatch.setattr(lookups, "AGAIN", 0.0)
    asked.there.clear()
    assert asked.lookups.of_all([7, 8, 7]) == ["web", "nobody", "web"]
    assert sorted(asked.asked) == [7, 7, 8], "a second look at what was there"
    assert asked.lookups.of_all([7, 8]) == ["web", "nobody"]
    assert len(asked.asked) == 3, "none at what has gone"


def test_a_number_that_was_given_out_again_is_looked_up_at_once() -> None:
    asked = _Asked()
    asked.there[7] = "web"
    asked.lookups.of_all([7])
    asked.there[7], asked.reissued = "db", [7]
    assert asked.lookups.of_all([7]) == ["db"]
    asked.reissued = [7]
    asked.there.clear()
    assert asked.lookups.of_all([7]) == ["nobody"], "it is no longer the one that had a name"


def test_what_another_tells_of_one_that_has_gone_is_kept() -> None:
    asked = _Asked()
    assert asked.lookups.of_all([9]) == ["nobody"]
    asked.lookups.remember({9: "web"})
    assert asked.lookups.of_all([9]) == ["web"]


def test_of_too_many_some_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MOST", 2)
    asked = _Asked()
    asked.lookups.remember({1: "a", 2: "b", 3: "c"})
    assert asked.lookups.of_all([2, 3]) == ["b", "c"]
    assert asked.asked == []


@pytest.mark.parametrize(
    ("before", "last", "known", "given"),
    [
        (100, 104, {99, 100, 101, 104, 105}, [101, 104]),
        (100, 100, {100, 101}, []),
        (32760, 302, {300, 302, 303, 32760, 32761}, [32761, 300, 302]),
        (0, 50, {10}, []),
        (100, 0, {101}, []),
    ],
    ids=["some", "none", "from the beginning", "the first look", "not told"],
)
def test_numbers_given_out_since(
    monkeypatch: pytest.MonkeyPatch, before: int, last: int, known: set[int], given: list[int]
) -> None:
    told = iter([before, last])
    monkeypatch.setattr(pids_issued, "_last", lambda: next(told))
    issued = PidsIssued()
    assert issued.since(known) == []
    assert issued.since(known) == given
