"""Rounds over the rules of several interfaces: one that fails keeps none of the others back."""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from probes.compile.compiler import Compiler
from probes.drop_rule import DropRule, parse
from probes.droprules import enforcer
from probes.droprules.enforcer import Rules
from probes.errors import Gone
from probes.model import Enforced

RULE = parse("udp dport 53")


class Interface:
    """In place of what enforces an interface's rules."""

    def __init__(self, _: object, name: str, index: int, *__: object) -> None:
        self.name, self.index = name, index
        self.calls: list[str] = []
        self.raises: Exception | None = None
        made.append(self)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.raises is not None:
            raise self.raises

    def add(self, rule: DropRule) -> Enforced:
        return Enforced(self.name, rule, None, 1.0)

    def shown(self) -> tuple[Enforced, ...]:
        return (Enforced(self.name, RULE, None, 1.0),)

    def tend(self) -> None:
        self._called("tend")

    def remove(self, _: DropRule) -> None:
        self._called("remove")

    def close(self, how: str = "") -> None:
        self._called(f"close {how}".strip())

    def rename(self, name: str) -> None:
        self._called(f"rename {name}")


made: list[Interface] = []


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Rules:
    """With rules on three interfaces, of which the first fails at whatever is asked of it."""
    monkeypatch.setattr(enforcer, "Enforcement", Interface)
    numbers = {"a0": 1, "b0": 2, "c0": 3}
    monkeypatch.setattr(
        enforcer.route,
        "named",
        lambda name: SimpleNamespace(name=name, ifindex=numbers[name], kind="veth"),
    )
    made.clear()
    all_of = Rules(Compiler())
    for name in numbers:
        all_of.add(name, RULE)
    made[0].raises = OSError(errno.EMFILE, "")
    return all_of


def _calls() -> list[list[str]]:
    return [one.calls for one in made]


def test_of_interfaces_that_have_gone_all_are_closed_and_the_rest_is_renamed(rules: Rules) -> None:
    with pytest.raises(OSError, match="24"):
        rules.follow({3: "c1"})
    gone = "close its interface has gone"
    assert _calls() == [[gone], [gone], ["rename c1"]]


@pytest.mark.parametrize("again", [Rules.tend, lambda rules: rules.follow({3: "c0"})])
def test_what_could_not_be_closed_is_closed_the_next_time(
    rules: Rules, again: Callable[[Rules], None]
) -> None:
    """And is in nobody's way meanwhile: the interface's number may be another's by then."""
    with pytest.raises(OSError, match="24"):
        rules.follow({3: "c0"})
    assert [e.interface for e in rules.shown()] == ["c0"]
    made[0].raises = None
    again(rules)
    assert [call.split()[0] for call in made[0].calls] == ["close", "close"]
    again(rules)
    assert len(made[0].calls) == 2, "once it is closed, it is left alone"


def test_at_the_end_what_could_not_be_closed_is_tried_as_well(rules: Rules) -> None:
    with pytest.raises(OSError, match="24"):
        rules.follow({3: "c0"})
    rules.close()
    assert [call.split()[0] for call in made[0].calls] == ["close", "close"]
    assert made[2].calls[-1] == "close"
    assert "could not be removed" in rules.ended[-1]


def test_all_are_tended_although_one_fails(rules: Rules) -> None:
    with pytest.raises(OSError, match="24"):
        rules.tend()
    assert _calls() == [["tend"]] * 3


def test_no_error_of_one_keeps_the_others_attached(rules: Rules) -> None:
    made[0].raises = made[2].raises = RuntimeError("can't start new thread")
    rules.close()
    assert _calls() == [["close"]] * 3
    assert len(rules.ended) == 2


def test_nothing_is_added_to_what_was_closed() -> None:
    """As a rule may be added while its interface is found to have gone."""
    enforcement = enforcer.Enforcement(Compiler(), "a0", 1, lambda *_: None)
    enforcement.close("its interface has gone")
    with pytest.raises(Gone, match="no drop rules on a0: its interface has gone"):
        enforcement.add(RULE)
